"""Multilayer perceptrons for points in the plane."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_gym.gan.layers import Linear


def expect_points(shape: tuple[int, ...]) -> int:
    """Return the number of coordinates of one sample.

    Raises:
        ValueError: if samples are no points.
    """
    if len(shape) != 1:
        raise ValueError(
            "networks 'mlp', 'mlp_large' and 'pacgan' make points, not samples of shape "
            f"{shape}; use 'light' or 'residual'"
        )
    return shape[0]


class MLPGenerator(nn.Module):
    """Hidden layers of `width` ReLUs from latents to points.

    Args:
        shape: shape of one sample, `(D,)`.
        z_dim: length of a latent.
        width: units of a hidden layer.
        depth: hidden layers.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], z_dim: int = 2, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self.z_dim = z_dim
        hidden: list[nn.Module] = []
        for before, after in pairwise([z_dim] + [width] * depth):
            hidden += [Linear(before, after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*hidden, Linear(width, expect_points(shape)))

    def forward(self, z: Tensor) -> Tensor:
        """Map `(..., N, z_dim)` latents to `(..., N, D)` points."""
        points: Tensor = self.layers(z)
        return points


class MLPDiscriminator(nn.Module):
    """Hidden layers over the points and random Fourier features of them.

    The features (Tancik et al. 2020, arXiv 2006.10739) let a small network resolve modes far narrower than
    their distance, which a plain MLP cannot within 1,000 steps.

    Args:
        shape: shape of one sample, `(D,)`.
        width: units of a hidden layer.
        depth: hidden layers.
        n_features: number of random frequencies.
        scale: standard deviation of the frequencies, in radians per data unit.
    """

    stackable = True
    frequencies: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int = 64,
        depth: int = 2,
        n_features: int = 8,
        scale: float = math.pi,
    ) -> None:
        super().__init__()
        dim = expect_points(shape)
        self.register_buffer("frequencies", torch.randn(dim, n_features) * scale)
        hidden: list[nn.Module] = []
        for before, after in pairwise([dim + 2 * n_features] + [width] * depth):
            hidden += [Linear(before, after), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*hidden, Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., N, D)` points to `(..., N)` logits."""
        phase = x @ self.frequencies
        logits: Tensor = self.layers(torch.cat([x, phase.sin(), phase.cos()], -1))
        return logits.squeeze(-1)
