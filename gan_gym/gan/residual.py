"""A residual pair for quality on GPUs.

Residual blocks without batch statistics: group normalisation in the generator, none in the discriminator; the
last convolution of every block starts at zero, so that each block starts as the identity (as in R3GAN, arXiv
2501.05441).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_gym.gan.convolutional import halvings
from gan_gym.gan.layers import Conv2d, GroupNorm, Linear, fold, unfold


class _UpBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first_norm = GroupNorm(8, before)
        self.first = Conv2d(before, after, 3, padding=1)
        self.second_norm = GroupNorm(8, after)
        self.second = Conv2d(after, after, 3, padding=1)
        self.skip = Conv2d(before, after, 1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(x, scale_factor=2.0)
        hidden = self.first(F.interpolate(F.silu(self.first_norm(x)), scale_factor=2.0))
        hidden = self.second(F.silu(self.second_norm(hidden)))
        result: Tensor = self.skip(up) + hidden
        return result


class _DownBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = Conv2d(before, after, 3, padding=1)
        self.second = Conv2d(after, after, 3, padding=1)
        self.skip = Conv2d(before, after, 1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.second(F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2))
        result: Tensor = (self.skip(F.avg_pool2d(x, 2)) + F.avg_pool2d(hidden, 2)) / math.sqrt(2)
        return result


class ResidualGenerator(nn.Module):
    """Residual upsampling blocks with group normalisation.

    Args:
        shape: `(3, H, W)` of one patch, height and width multiples of 8.
        z_dim: length of a latent.
        width: channels at full size; doubled towards the latent, at most eightfold. A multiple of 8.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], z_dim: int = 64, width: int = 64) -> None:
        super().__init__()
        n, (height, base_width) = halvings(shape, "residual")
        channels = [width * min(2**k, 8) for k in reversed(range(n + 1))]
        self.z_dim = z_dim
        self.base = (channels[0], height, base_width)
        self.project = Linear(z_dim, math.prod(self.base))
        self.blocks = nn.Sequential(*(_UpBlock(a, b) for a, b in pairwise(channels)))
        self.norm = GroupNorm(8, width)
        self.to_patch = Conv2d(width, shape[0], 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Map `(..., N, z_dim)` latents to `(..., N, 3, H, W)` patches in [-1, 1]."""
        hidden = self.blocks(fold(self.project(z).unflatten(-1, self.base)))
        patches = torch.tanh(self.to_patch(F.silu(self.norm(hidden))))
        return unfold(patches, z) if z.ndim == 3 else patches


class ResidualDiscriminator(nn.Module):
    """Residual downsampling blocks without normalisation.

    Args:
        shape: `(3, H, W)` of one patch, height and width multiples of 8.
        width: channels at full size; doubled with each halving, at most eightfold.
    """

    stackable = True

    def __init__(self, shape: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        n, (height, base_width) = halvings(shape, "residual")
        channels = [width * min(2**k, 8) for k in range(n + 1)]
        self.from_patch = Conv2d(shape[0], width, 3, padding=1)
        self.blocks = nn.Sequential(*(_DownBlock(a, b) for a, b in pairwise(channels)))
        self.score = Linear(channels[-1] * height * base_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., N, 3, H, W)` patches to `(..., N)` logits."""
        maps = F.leaky_relu(self.blocks(self.from_patch(fold(x))), 0.2)
        logits: Tensor = self.score((unfold(maps, x) if x.ndim == 5 else maps).flatten(-3))
        return logits.squeeze(-1)
