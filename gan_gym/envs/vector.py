"""The vector forms of the environments: n GANs trained side by side."""

from __future__ import annotations

from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gan_gym.envs.digits import StackedDigitsGANEnv
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.points import GridGANEnv, RingGANEnv


class GANVectorEnv(SyncVectorEnv):
    """`num_envs` environments of one class, stepped in turn, each with its own knobs, seed and instance.

    Data and reward model are shared. An episode that has ended restarts at the next step (`AutoresetMode.NEXT_STEP`).

    Args:
        num_envs: number of GANs.
        kwargs: arguments of the environment class.
    """

    env_class: ClassVar[type[GANEnv]]

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        if not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs!r}; give a whole number >= 1")
        super().__init__(
            [lambda: self.env_class(**kwargs)] * num_envs, autoreset_mode=AutoresetMode.NEXT_STEP
        )


class HistoGANVectorEnv(GANVectorEnv):
    """`HistoGAN-v0` in vector form."""

    env_class = HistoGANEnv


class GridGANVectorEnv(GANVectorEnv):
    """`GridGAN-v0` in vector form."""

    env_class = GridGANEnv


class RingGANVectorEnv(GANVectorEnv):
    """`RingGAN-v0` in vector form."""

    env_class = RingGANEnv


class StackedDigitsGANVectorEnv(GANVectorEnv):
    """`StackedDigitsGAN-v0` in vector form."""

    env_class = StackedDigitsGANEnv
