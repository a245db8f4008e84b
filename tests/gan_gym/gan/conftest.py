from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.gan import GANTrainer, Settings, TrainerConfig, build_networks

MakeTrainer = Callable[..., GANTrainer]


@pytest.fixture(scope="session")
def grid() -> MixtureSampler:
    return MixtureSampler.grid()


@pytest.fixture
def make_trainer(grid: MixtureSampler) -> MakeTrainer:
    """Build a small trainer on the grid; settings by name."""

    def make(
        loss: str = "non_saturating",
        seed: int = 0,
        batch_size: int = 8,
        penalty_every: int = 4,
        similarity: Any = None,
        **settings: float,
    ) -> GANTrainer:
        config = TrainerConfig(loss=loss, batch_size=batch_size, penalty_every=penalty_every)
        networks = build_networks("mlp", (2,), seed)
        return GANTrainer(*networks, grid, config, Settings(**settings), seed=seed, similarity=similarity)

    return make
