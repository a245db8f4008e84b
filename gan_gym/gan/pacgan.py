"""The pair of PacGAN's mode-collapse protocol (Lin et al. 2018, arXiv 1712.04086), without its packing.

Weights start as those of PyTorch's linear layers do.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from gan_gym.gan.layers import BatchNorm1d, Linear, Maxout
from gan_gym.gan.mlp import expect_points


class PacGANGenerator(nn.Module):
    """Four hidden layers of 400 ReLUs with batch normalisation, from latents in the plane to points.

    Args:
        shape: shape of one sample, `(D,)`.
        width: units of a hidden layer.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], width: int = 400) -> None:
        super().__init__()
        self.z_dim = 2
        hidden: list[nn.Module] = []
        for before, after in pairwise([self.z_dim, *[width] * 4]):
            hidden += [Linear(before, after, bias=False), BatchNorm1d(after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*hidden, Linear(width, expect_points(shape)))

    def forward(self, z: Tensor) -> Tensor:
        """Map `(..., N, 2)` latents to `(..., N, D)` points."""
        points: Tensor = self.layers(z)
        return points


class PacGANDiscriminator(nn.Module):
    """Three hidden layers of 200 maxout units of five pieces.

    Args:
        shape: shape of one sample, `(D,)`.
        width: units of a hidden layer.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], width: int = 200) -> None:
        super().__init__()
        n_pieces = 5
        hidden: list[nn.Module] = []
        for before, after in pairwise([expect_points(shape), *[width] * 3]):
            hidden += [Linear(before, n_pieces * after), Maxout(n_pieces)]
        self.layers = nn.Sequential(*hidden, Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., N, D)` points to `(..., N)` logits."""
        logits: Tensor = self.layers(x)
        return logits.squeeze(-1)
