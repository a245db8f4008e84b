"""The forms, other than a population, in which many environments are stepped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

Array = NDArray[np.float32]


class EnvGroup(gym.Env[Array, Array]):
    """`n` single environments as one, the form in which a `SubprocVecEnv` worker can hold more than one.

    Args:
        env_id: id of the environments.
        n: how many.
        kwargs: their arguments.
    """

    def __init__(self, env_id: str, n: int, **kwargs: Any) -> None:
        self.envs = [_single(env_id, **kwargs) for _ in range(n)]
        self.observation_space = batch_space(self.envs[0].observation_space, n)
        self.action_space = batch_space(self.envs[0].action_space, n)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start all GANs, with seeds `seed`, `seed + 1`, ..."""
        super().reset(seed=seed)
        first = seed or 0
        return np.stack([env.reset(seed=first + i)[0] for i, env in enumerate(self.envs)]), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Step one after the other; return the sum of the rewards. A GAN that has ended starts anew."""
        observations, total = [], 0.0
        for env, own in zip(self.envs, action, strict=True):
            observation, reward, ended, _, _ = env.step(own)
            total += float(reward)
            observations.append(env.reset()[0] if ended else observation)
        return np.stack(observations), total, False, False, {}


def _single(env_id: str, **kwargs: Any) -> gym.Env[Array, Array]:
    return gym.make(f"gan_gym:{env_id}", disable_env_checker=True, **kwargs)


def group_builder(env_id: str, n: int, **kwargs: Any) -> Callable[[], EnvGroup]:
    """Return a function that makes a group in a worker of one thread."""

    def build() -> EnvGroup:
        torch.set_num_threads(1)
        return EnvGroup(env_id, n, **kwargs)

    return build


def single_builder(env_id: str, **kwargs: Any) -> Callable[[], gym.Env[Array, Array]]:
    """Return a function that makes one environment in a worker of one thread."""

    def build() -> gym.Env[Array, Array]:
        torch.set_num_threads(1)
        return _single(env_id, **kwargs)

    return build
