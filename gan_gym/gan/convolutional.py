"""A light pair of the DCGAN class (Radford et al. 2016, arXiv 1511.06434), quick enough for CPUs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from gan_gym.gan.layers import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    GroupNorm,
    Linear,
    SpectralNorm,
    fold,
    unfold,
)

Norm = Literal["batch", "layer", "spectral"]
"""How a discriminator is normalised."""
_NORMS: dict[Norm, Callable[[int], nn.Module]] = {
    "batch": lambda channels: BatchNorm2d(channels, track_running_stats=False),
    "layer": lambda channels: GroupNorm(1, channels),
    "spectral": lambda channels: nn.Identity(),
}
"""What follows each convolution but the first, by the number of its channels."""


def halvings(shape: tuple[int, ...], networks: str) -> tuple[int, tuple[int, int]]:
    """Return how often a patch is halved and the size that remains, at least 4 pixels a side.

    Raises:
        ValueError: if `shape` is no `(3, H, W)` with multiples of 8.
    """
    if len(shape) != 3 or any(side < 8 or side % 8 for side in shape[1:]):
        raise ValueError(
            f"networks '{networks}' make patches whose height and width are multiples of 8, "
            f"not samples of shape {shape}"
        )
    n, (height, width) = 0, shape[1:]
    while min(height, width) >= 8 and height % 2 == 0 and width % 2 == 0:
        n, height, width = n + 1, height // 2, width // 2
    return n, (height, width)


def _initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) as DCGAN does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def score_maps(layer: Linear, maps: Tensor) -> Tensor:
    """Apply a linear layer to all of the maps `(N, C, H, W)`, read in the order in which they lie in memory.

    Maps that lie channels last would otherwise be reordered, and mixed with gradients of the other order.
    Maps of n networks `(n, N, C, H, W)` give `(n, N, K)`.
    """
    if maps.ndim == 5 or not maps.is_contiguous(memory_format=torch.channels_last):
        return layer(maps.flatten(-3))  # type: ignore[no-any-return]
    weight = layer.weight.view(-1, *maps.shape[1:]).permute(0, 2, 3, 1).flatten(1)
    return F.linear(maps.permute(0, 2, 3, 1).flatten(1), weight, layer.bias)


class LightGenerator(nn.Module):
    """Transposed convolutions with batch normalisation.

    Args:
        shape: `(3, H, W)` of one patch, height and width multiples of 8.
        z_dim: length of a latent.
        width: channels of the last hidden layer; doubled towards the latent, at most eightfold.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], z_dim: int = 64, width: int = 32) -> None:
        super().__init__()
        n, (height, base_width) = halvings(shape, "light")
        channels = [width * min(2**k, 8) for k in reversed(range(n))]
        self.z_dim = z_dim
        self.base = (channels[0], height, base_width)
        self.project = Linear(z_dim, channels[0] * height * base_width, bias=False)
        blocks: list[nn.Module] = [BatchNorm2d(channels[0]), nn.ReLU(inplace=True)]
        for before, after in pairwise(channels):
            blocks += [
                ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
        blocks += [ConvTranspose2d(channels[-1], shape[0], 4, 2, 1), nn.Tanh()]
        self.blocks = nn.Sequential(*blocks)
        self.apply(_initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Map `(..., N, z_dim)` latents to `(..., N, 3, H, W)` patches in [-1, 1]."""
        patches: Tensor = self.blocks(fold(self.project(z).unflatten(-1, self.base)))
        return unfold(patches, z) if z.ndim == 3 else patches


class LightDiscriminator(nn.Module):
    """Strided convolutions with normalisation in all but the first, as in DCGAN.

    Batch statistics let it see that many generated patches are alike: without them a generator this small
    settles on one repeated texture. So real and generated patches are then scored apart: `joint = False`.
    Losses that ask for other constraints get them by `norm`.

    Args:
        shape: `(3, H, W)` of one patch, height and width multiples of 8.
        width: channels of the first layer; doubled with each halving, at most eightfold.
        norm: `"batch"` as in DCGAN; `"layer"`, over each patch alone, which a gradient penalty asks for
            (Gulrajani et al. 2017, arXiv 1704.00028, section 4); `"spectral"`, of all weights, in place of
            any other (Miyato et al. 2018, arXiv 1802.05957).
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], width: int = 32, norm: Norm = "batch") -> None:
        super().__init__()
        self.joint = norm != "batch"
        n, (height, base_width) = halvings(shape, "light")
        channels = [width * min(2**k, 8) for k in range(n)]
        blocks: list[nn.Module] = [Conv2d(shape[0], channels[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for before, after in pairwise(channels):
            blocks += [
                Conv2d(before, after, 4, 2, 1, bias=False),
                _NORMS[norm](after),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.score = Linear(channels[-1] * height * base_width, 1)
        self.apply(_initialise)
        if norm == "spectral":
            for layer in (*self.blocks, self.score):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    register_parametrization(layer, "weight", SpectralNorm(layer.weight.ndim))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., N, 3, H, W)` patches to `(..., N)` logits."""
        maps = self.blocks(fold(x))
        return score_maps(self.score, unfold(maps, x) if x.ndim == 5 else maps).squeeze(-1)


class QuarterDiscriminator(LightDiscriminator):
    """A `LightDiscriminator` a quarter as wide: the hard setting of PacGAN's protocol."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape, width=8)
