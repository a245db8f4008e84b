"""Mixtures of Gaussians in the plane: the ring and the grid of the mode-collapse protocols."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_gym.data.modes import Modes, summarise


class MixtureSampler:
    """An equal mixture of round Gaussians; fits the trainer's `Source`.

    Args:
        centres: `(K, 2)` means.
        std: standard deviation of each mode, in data units.
    """

    shape: tuple[int, ...] = (2,)

    def __init__(self, centres: Tensor, std: float) -> None:
        if not std > 0:
            raise ValueError(f"std is {std}; give a number > 0")
        self.centres, self.std = centres, std

    @classmethod
    def grid(cls, spacing: float = 1.0, std: float = 0.05) -> MixtureSampler:
        """Return the 5 x 5 grid; the published protocol has `spacing=2.0` (PacGAN, arXiv 1712.04086)."""
        if not spacing > 0:
            raise ValueError(f"spacing is {spacing}; give a number > 0")
        axis = torch.arange(-2.0, 3.0) * spacing
        return cls(torch.cartesian_prod(axis, axis), std)

    @classmethod
    def ring(cls, radius: float = 1.0, std: float = 0.05) -> MixtureSampler:
        """Return eight modes at angles 2 pi i / 8; the published protocol has `std=0.01`."""
        if not radius > 0:
            raise ValueError(f"radius is {radius}; give a number > 0")
        angles = torch.arange(8) * (2 * math.pi / 8)
        return cls(radius * torch.stack([angles.cos(), angles.sin()], 1), std)

    @property
    def device(self) -> torch.device:
        """Where the means lie."""
        return self.centres.device

    def batch(self, n: int, rng: torch.Generator) -> Tensor:
        """Return `(n, 2)` points."""
        return self.take(*self.draw(n, rng))

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw modes `(n,)` and standard normal offsets `(n, 2)`."""
        return torch.randint(len(self.centres), (n,), generator=rng), torch.randn(n, 2, generator=rng)

    def take(self, modes: Tensor, offsets: Tensor) -> Tensor:
        """Return the drawn points; draws `(..., n)` and `(..., n, 2)` give `(..., n, 2)`."""
        return torch.add(self.centres[modes], offsets, alpha=self.std)

    def count_modes(self, points: Tensor) -> list[Modes]:
        """Count modes as VEEGAN does (arXiv 1705.07761): points within 3 std of a mode are of high quality.

        Args:
            points: `(n, N, 2)`, n sets of generated points, 2,500 each in the protocol.

        Returns:
            For each set, modes with at least 1 and with at least 20 points of high quality, and the share of
            such points.
        """
        coordinates = points.mT.contiguous()
        counts = torch.stack([self._count(x, y) for x, y in coordinates])
        return summarise(counts, counts.sum(dim=1) / points.shape[1])

    def _count(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how many points `(N,)` of high quality are nearest to each mode, `(K,)`."""
        centres = self.centres.to(x.device)[:, :, None]
        squared = (x - centres[:, 0]).square_()
        across = y - centres[:, 1]
        squared.addcmul_(across, across)
        nearest = squared.amin(dim=0)
        return squared.le_(nearest) @ nearest.lt_((3 * self.std) ** 2)  # yes is 1, no is 0
