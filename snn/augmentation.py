"""Random views of patches: what may change without an image becoming another one, and what may not."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, pad

# Hematoxylin, eosin and residual in optical density: Ruifrok & Johnston 2001.
_STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])


def view(
    x: Tensor, generator: Generator, *, shift: float = 0.5, flips: bool = True, stain_jitter: float = 0.05
) -> Tensor:
    """Return another view of each image of `x`, float `(N, 3, H, W)` in [-1, 1].

    A random window, continued by reflection; a flip and a quarter turn; a slightly different stain. Nothing
    is interpolated: a view is as sharp as its image, so that blur stays visible to the embedding.

    Args:
        x: images.
        generator: source of all randomness.
        shift: the window's largest offset, as a fraction of the side.
        flips: whether images may be mirrored and turned (tissue may, digits may not).
        stain_jitter: standard deviation of the relative strength of each stain; 0 = off.
    """
    n, _, height, width = x.shape
    rows = _reflected(height, n, shift, generator)
    columns = _reflected(width, n, shift, generator)
    if flips:
        upside, mirrored = torch.rand(2, n, 1, generator=generator) < 0.5
        rows = torch.where(upside, height - 1 - rows, rows)
        columns = torch.where(mirrored, width - 1 - columns, columns)
    batch = torch.arange(n)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flips and height == width:
        turned = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
        moved = torch.where(turned, moved.transpose(2, 3), moved)
    return jitter_stain(moved, generator, stain_jitter) if stain_jitter > 0 else moved.contiguous()


def jitter_stain(x: Tensor, generator: Generator, strength: float | Tensor) -> Tensor:
    """Scale each stain of each image by `1 + strength · N(0, 1)` in optical density (Tellez et al. 2018)."""
    factors = 1 + strength * torch.randn(len(x), 1, 3, generator=generator)
    return (2 * scale_stains((x + 1) / 2, factors[:, 0]) - 1).clamp(-1, 1)


def scale_stains(light: Tensor, factors: Tensor) -> Tensor:
    """Multiply each stain's optical density in `light`, `(N, 3, H, W)` in [0, 1], by `factors` `(N, 3)`."""
    mix: Tensor = torch.linalg.inv(_STAINS) @ (factors[:, :, None] * _STAINS)
    density = -torch.log(light.clamp_min(1 / 255))
    scaled: Tensor = torch.exp(-torch.einsum("nchw,ncd->ndhw", density, mix))
    return scaled


def permute_blocks(images: Tensor, order: Tensor) -> Tensor:
    """Put block `order[n, i]` of a 4 × 4 division of image n in place i, row by row.

    Args:
        images: `(N, C, H, W)` of any type; of sides that 4 does not divide, a rim stays where it is.
        order: `(N, 16)` int64.
    """
    n, channels, height, width = images.shape
    high, wide = height // 4, width // 4
    inner = images[:, :, : 4 * high, : 4 * wide].reshape(n, channels, 4, high, 4, wide)
    blocks = inner.permute(0, 2, 4, 1, 3, 5).reshape(n, 16, channels, high, wide)
    blocks = blocks[torch.arange(n)[:, None], order].reshape(n, 4, 4, channels, high, wide)
    permuted = images.clone()
    joined = blocks.permute(0, 3, 1, 4, 2, 5).reshape(n, channels, 4 * high, 4 * wide)
    permuted[:, :, : 4 * high, : 4 * wide] = joined
    return permuted


def degrade(x: Tensor, generator: Generator) -> Tensor:
    """Damage each image of `x` in one of six ways, as failing generators do: these views are never similar.

    Blur, pixel noise, shuffled blocks, mixing with another image, a foreign stain, lost contrast; strengths
    are drawn from slight to severe.
    """
    kinds = torch.arange(len(x)) % len(_DAMAGES)
    strength = torch.rand(len(x), 1, 1, 1, generator=generator)
    damaged = x.clone()
    for kind, damage in enumerate(_DAMAGES):
        chosen = kinds == kind
        if chosen.any():
            damaged[chosen] = damage(x[chosen], strength[chosen], generator)
    return damaged.clamp(-1, 1)


def _reflected(size: int, n: int, shift: float, generator: Generator) -> Tensor:
    """Return indices `(n, size)` of a window moved by a random offset, reflected at the borders."""
    reach = min(int(shift * size), size - 1)
    offset = torch.randint(-reach, reach + 1, (n, 1), generator=generator)
    index = (torch.arange(size) + offset).abs()
    return torch.minimum(index, 2 * (size - 1) - index)


def _blurred(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Blur by a Gaussian, between none and a standard deviation of a tenth of the side."""
    height, width = x.shape[2:]
    out = torch.empty_like(x)
    deviation = 0.4 + strength.flatten() * max(0.1 * min(height, width) - 0.4, 0.1)
    for row, sigma in enumerate(deviation.tolist()):
        reach = min(math.ceil(3 * sigma), min(height, width) - 1)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
        kernel = (kernel / kernel.sum()).to(x.dtype)
        image = pad(x[row : row + 1], (reach,) * 4, mode="reflect").transpose(0, 1)
        image = conv2d(image, kernel[None, None, :, None])
        out[row] = conv2d(image, kernel[None, None, None]).transpose(0, 1)[0]
    return out


def _noisy(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    return x + (0.05 + 0.5 * strength.square()) * torch.randn(x.shape, generator=generator)


def _mixed(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    return torch.lerp(x, x.roll(1, dims=0).flip(3), 0.25 + 0.25 * strength)


def _stained(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    return jitter_stain(x, generator, 0.15 + 0.5 * strength.view(-1, 1, 1))


def _flattened(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    return torch.lerp(x, x.mean(dim=(2, 3), keepdim=True), 0.3 + 0.7 * strength)


def _shuffled(x: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Let some or all blocks of a 4 × 4 division change places."""
    n = len(x)
    moving = torch.rand(n, 16, generator=generator).argsort(dim=1)
    n_moving = (2 + 14 * strength.view(n, 1)).round()
    place = torch.arange(16).expand(n, 16)
    source = torch.where(place + 1 < n_moving, place + 1, torch.where(place < n_moving, 0, place))
    return permute_blocks(x, torch.empty_like(moving).scatter_(1, moving, moving.gather(1, source)))


_DAMAGES = (_blurred, _noisy, _shuffled, _mixed, _stained, _flattened)
