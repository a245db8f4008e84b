from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn

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


class _Double(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.double()
        self.z_dim = getattr(module, "z_dim", None)
        self.joint = getattr(module, "joint", True)
        self.stackable = getattr(module, "stackable", False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.module(x.double())
        return result


@pytest.fixture
def double_pair() -> Callable[..., tuple[nn.Module, nn.Module]]:
    """Build networks in double precision, where Adam does not blow rounding errors up to full steps."""

    def build(networks: str, shape: tuple[int, ...], seed: int) -> tuple[nn.Module, nn.Module]:
        g, d = build_networks(networks, shape, seed)
        return _Double(g), _Double(d)

    return build
