"""Differentiable augmentation of all D sees, after DiffAugment (Zhao et al. 2020, arXiv 2006.10738).

Each sample is augmented with probability p, so that p is a knob as in StyleGAN2-ADA (arXiv 2006.06676).
Patches are shifted, darkened or brightened, have their contrast changed and a square cut out; points in the
plane are turned by quarter turns, the one augmentation of a point that does not blur its mode.

Besides p, four things are not DiffAugment's: saturation is left alone; contrast is changed around the mean
before the brightness was, so that it scales the change of brightness too; the square lies within the patch,
where DiffAugment lets the patch's edges cut it; and DiffAugment knows no points.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SHIFT = 1 / 8
"""Largest shift, as a share of the patch's side."""
CUTOUT = 1 / 2
"""Side of the square cut out, as a share of the patch's side."""


def draw_augmentation(shape: tuple[int, ...], rng: torch.Generator) -> dict[str, Tensor]:
    """Draw what happens to samples `(N, ...)`: `chosen` `(N,)` in [0, 1), and `turns` or `moves` `(N, k)`.

    Raises:
        ValueError: if the samples are neither patches nor points in the plane.
    """
    n, *sample = shape
    if len(sample) != 3 and sample != [2]:
        raise ValueError(
            f"samples of shape {tuple(sample)} cannot be augmented, only patches (C, H, W) and points (2,); "
            "set augment_p to 0"
        )
    chosen = torch.rand(n, generator=rng)
    if len(shape) == 2:
        return {"chosen": chosen, "turns": torch.randint(4, (n, 1), generator=rng)}
    return {"chosen": chosen, "moves": torch.rand(n, 6, generator=rng)}


def augmented(x: Tensor, p: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
    """Augment samples as was drawn.

    Args:
        x: `(*lead, N, 3, H, W)` patches or `(*lead, N, 2)` points.
        p: `(*lead)` probability that a sample is augmented.
        draws: of `draw_augmentation`, each with the same leading axes.
    """
    lead = p.ndim
    if "turns" in draws:
        changed = _turned(x, draws["turns"])
    else:
        moves = draws["moves"].flatten(0, -2).T
        changed = _moved(x.flatten(0, lead), moves).reshape(x.shape) if lead else _moved(x, moves)
    chosen = draws["chosen"] < p.unsqueeze(-1)
    return torch.where(chosen.view(*chosen.shape, *(1,) * (x.ndim - lead - 1)), changed, x)


def _turned(x: Tensor, turns: Tensor) -> Tensor:
    turned = torch.stack([-x[..., 1], x[..., 0]], -1)
    sign = torch.where(turns >= 2, -1.0, 1.0)
    return sign * torch.where(turns % 2 == 1, turned, x)


def _moved(x: Tensor, draws: Tensor) -> Tensor:
    _, _, height, width = x.shape
    brightness, contrast = draws[0].view(-1, 1, 1, 1) - 0.5, draws[1].view(-1, 1, 1, 1) + 0.5
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x + brightness - mean) * contrast + mean
    x = _shift(x, draws[2], draws[3])
    rows = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    top = (draws[4] * (1 - CUTOUT) * height).view(-1, 1, 1, 1)
    left = (draws[5] * (1 - CUTOUT) * width).view(-1, 1, 1, 1)
    inside = (
        (rows >= top) & (rows < top + CUTOUT * height) & (columns >= left) & (columns < left + CUTOUT * width)
    )
    return x.masked_fill(inside, 0.0)


def _shift(x: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Shift each patch by whole pixels, zeros moving in; draws `(N,)` lie in [0, 1)."""
    n, _, height, width = x.shape
    pad_y, pad_x = round(height * MAX_SHIFT), round(width * MAX_SHIFT)
    padded = F.pad(x, (pad_x, pad_x, pad_y, pad_y))
    rows = (vertical * (2 * pad_y + 1)).long().view(-1, 1) + torch.arange(height, device=x.device)
    columns = (horizontal * (2 * pad_x + 1)).long().view(-1, 1) + torch.arange(width, device=x.device)
    sample = torch.arange(n, device=x.device).view(-1, 1, 1)
    return padded.permute(0, 2, 3, 1)[sample, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
