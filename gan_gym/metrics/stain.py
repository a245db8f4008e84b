"""Stain statistics of H&E patches: how much haematoxylin and eosin they hold, generated against real."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_gym.metrics.metric import Metric
from gan_gym.metrics.wasserstein import wasserstein

STAIN = ("stain_hematoxylin", "stain_eosin")
"""Keys of these metrics."""
STAINS = torch.nn.functional.normalize(torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]), dim=1)
"""Optical density of haematoxylin (first row) and eosin in red, green and blue, of unit length."""
MIN_DENSITY = 0.03
"""Mean optical density below which patches are called blank; bare glass has about 0.01, H&E 0.1 to 0.4."""
MIN_GREEN = 0.07
"""Share by which green must be absorbed more than red and blue. Pure haematoxylin has 0.14, eosin 0.77, all
mixtures more than 0.14 (PCam 0.22, breast 0.22, osteosarcoma 0.25); grey and most other colours have 0."""
MAX_UNEXPLAINED = 0.25
"""Share of the squared density that no mixture of the two stains explains; H&E 0.06 to 0.11."""
_DENSITY = -torch.log10(torch.arange(256).clamp(min=1) / 255)
"""Optical density of each grey value; 0 counts as 1, for a black pixel's density is not infinite."""
_BATCH = 64
"""Patches taken apart at once."""


def stain_densities(images: Tensor) -> Tensor:
    """Take H&E images apart by colour deconvolution.

    The optical density `-log10(I / 255)` of a pixel is a sum of the stains' densities times their colours;
    the amounts are its least squares solution for two stains. They are relative to the published colours: a
    laboratory's own differ a little, on both sides of a comparison alike.

    Args:
        images: `(N, 3, H, W)` uint8, RGB.

    Returns:
        `(N, 2, H, W)` densities of haematoxylin and eosin; slightly negative where a colour lies outside.

    Reference: Ruifrok and Johnston 2001, "Quantification of histochemical staining by color deconvolution",
    Analytical and Quantitative Cytology and Histology 23.
    """
    return torch.einsum("nchw,cs->nshw", _DENSITY[images.long()], torch.linalg.pinv(STAINS))


def mean_densities(images: Tensor) -> NDArray[np.float64]:
    """Return the mean haematoxylin and eosin density of each image, `(N, 2)`."""
    parts = [stain_densities(batch).mean((2, 3)) for batch in torch.split(images, _BATCH)]
    return torch.cat(parts).double().numpy()


def why_not_stained(images: Tensor, side: str) -> str | None:
    """Return why images are not to be measured as H&E, or `None` where they may be.

    The images are judged together, so that single blank patches do no harm. Whether purple and pink come from
    haematoxylin and eosin cannot be seen; what is plainly something else is refused.

    Args:
        images: `(N, 3, H, W)` uint8, RGB.
        side: "real" or "generated", for the reason.
    """
    channels, squares, missed = torch.zeros(3).double(), 0.0, 0.0
    for batch in torch.split(images, _BATCH):
        density = _DENSITY[batch.long()]
        left = density - torch.einsum("nshw,sc->nchw", stain_densities(batch), STAINS)
        channels += density.mean((0, 2, 3)).double() * len(batch) / len(images)
        squares += float(density.square().sum())
        missed += float(left.square().sum())
    mean = float(channels.mean())
    if mean < MIN_DENSITY:
        return f"the {side} patches are almost blank (mean optical density {mean:.3f}): no stain to measure"
    red, green, blue = channels.tolist()
    excess, unexplained = (green - (red + blue) / 2) / (3 * mean), missed / squares
    if excess < MIN_GREEN or unexplained > MAX_UNEXPLAINED:
        return (
            f"the {side} patches do not look like H&E: green is absorbed {excess:.0%} more than red and blue "
            f"(expected: {MIN_GREEN:.0%} or more), and {unexplained:.0%} of the colour is neither purple nor "
            f"pink (expected: {MAX_UNEXPLAINED:.0%} or less)"
        )
    return None


def stain(real: Tensor, fake: Tensor, *, seed: int = 0) -> dict[str, Metric]:
    """Compare the mean haematoxylin and eosin density of generated with that of real H&E patches.

    Each figure is the Wasserstein-1 distance of the two distributions over patches, in standard deviations of
    the real one (see `wasserstein`), with the means of both sides beside it.

    Args:
        real: `(N, 3, H, W)` uint8, RGB, H&E (see `why_not_stained`).
        fake: `(M, 3, H, W)` uint8, RGB, H&E.
        seed: seed of the half-samples behind the intervals.
    """
    ours, theirs = mean_densities(real), mean_densities(fake)
    return {
        key: wasserstein(
            f"{key.removeprefix('stain_')} density", ours[:, i], theirs[:, i], unit="OD", seed=seed
        )
        for i, key in enumerate(STAIN)
    }
