"""GAN training as a control problem: importing this registers the environments and loads no torch."""

import os

from gymnasium.envs.registration import register, registry

# OpenMP's threads otherwise wait by spinning: where anything else runs on the cores, a step of two threads
# then takes fifteen times as long. It is read when torch is loaded; set it before if you want it otherwise.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

ENVIRONMENTS = ("HistoGAN", "GridGAN", "RingGAN", "StackedDigitsGAN")
"""Names of the environments; each is registered as `<name>-v0`."""

_MODULES = {"HistoGAN": "histogan", "GridGAN": "points", "RingGAN": "points", "StackedDigitsGAN": "digits"}

for _name in ENVIRONMENTS:
    if f"{_name}-v0" not in registry:
        register(
            id=f"{_name}-v0",
            entry_point=f"gan_gym.envs.{_MODULES[_name]}:{_name}Env",
            vector_entry_point=f"gan_gym.envs.vector:{_name}VectorEnv",
        )
