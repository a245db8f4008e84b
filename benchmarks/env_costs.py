"""What an environment adds to its GAN's own updates, and what importing the package takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks.costs import FAMILIES, Costs, threads
from benchmarks.timing import stopwatch
from gan_gym.envs.gan_env import GANEnv

NAMES = {"mlp": "grid", "conv": "histo"}
"""How the contract names the environments of the families."""
N_IMPORTS = 5
"""Processes that import the package."""
IMPORT = """
import time
import gymnasium
start = time.perf_counter()
import gan_gym
print(time.perf_counter() - start)
"""


def imports(costs: Costs) -> None:
    """Time `import gan_gym` in fresh processes, Gymnasium's own import left out."""
    times = []
    for _ in range(N_IMPORTS):
        done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        times.append(float(done.stdout))
    costs.time("import gan_gym, without gymnasium", np.array(times))


def overheads(costs: Costs) -> None:
    """Split env steps at the contract's defaults into the GAN's updates and the rest."""
    for n_threads in costs.scale.threads:
        ending = "" if n_threads == 1 else f"_{n_threads}_threads"
        for family, env_id in FAMILIES.items():
            with threads(n_threads):
                _overhead(costs, f"env_overhead_{NAMES[family]}{ending}", costs.env(env_id))


def _overhead(costs: Costs, name: str, env: GANEnv) -> None:
    action = np.zeros(len(env.knobs), np.float32)
    steps, updates = [], []
    train = env.trainer.train

    def timed(n_steps: int) -> Any:
        updates.append(stopwatch(lambda: train(n_steps)))
        return env.trainer.statistics

    env.trainer.train = timed  # type: ignore[method-assign]
    for _ in range(costs.scale.repeats + 1):  # the first does not count
        steps.append(stopwatch(lambda: env.step(action)))
    whole, own = np.array(steps[1:]), np.array(updates[1:])
    costs.ratio(name, (whole - own) / whole)
    costs.time(f"{name}: env step", whole)
    costs.time(f"{name}: all but the GAN's updates", whole - own)
