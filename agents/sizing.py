"""How large a training is made: environments side by side, batches, and whether updates are compiled."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

from agents.algorithms import Algorithm
from agents.cores import usable_cores
from gan_gym.gan import family

MIN_ROLLOUTS = 10
"""Rollouts an algorithm is given at least, before environments are added."""
MIN_COMPILED = 50_000
"""Env steps from which updates are compiled: it takes half a minute, and saves a quarter of the time."""
MOST_ENVS = {"points": 32}
"""Environments that train together at most, by their GANs' family; as many as there are cores of others."""


def fitting_defaults(
    algorithm: Algorithm, n_envs: int, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an algorithm's defaults; batches are made to divide the rollouts of `n_envs` environments.

    Args:
        algorithm: whose defaults.
        n_envs: number of environments.
        changes: what takes the place of defaults.
    """
    defaults = {**algorithm.defaults, **(changes or {})}
    if "n_steps" in defaults and "batch_size" in defaults:
        n = defaults["n_steps"] * n_envs
        defaults["batch_size"] = max(size for size in range(1, defaults["batch_size"] + 1) if n % size == 0)
    return defaults


def n_envs_that_fit(networks: str, n_steps: int | None, total_timesteps: int) -> int:
    """Return in how many environments an algorithm trains fast and learns well.

    They are as many as make the most of this machine, for algorithms that learn from rollouts of all of
    them, of which there must be enough; one for those that learn after every step of every environment, and
    would learn less often from more.

    Args:
        networks: name of the GANs' networks.
        n_steps: env steps of a rollout in each environment; `None` for algorithms without rollouts.
        total_timesteps: env steps in all.
    """
    if n_steps is None:
        return 1
    most = MOST_ENVS.get(family(networks), usable_cores())
    return max(1, min(most, total_timesteps // (MIN_ROLLOUTS * n_steps)))


def worth_compiling(networks: str, n_envs: int, total_timesteps: int) -> bool:
    """Return whether compiled updates of these GANs save more time than compiling takes.

    Args:
        networks: name of the GANs' networks; convolutions gain nothing on a CPU.
        n_envs: number of environments; a single one would compile anew for every episode's GAN.
        total_timesteps: env steps in all.
    """
    has_compiler = shutil.which(os.environ.get("CXX", "g++")) is not None
    return family(networks) == "points" and n_envs > 1 and total_timesteps >= MIN_COMPILED and has_compiler
