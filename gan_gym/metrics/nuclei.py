"""Nuclei statistics of H&E patches: how many dark purple spots they hold and how large these are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from gan_gym.metrics.metric import Metric
from gan_gym.metrics.stain import stain_densities
from gan_gym.metrics.wasserstein import wasserstein

NUCLEI = ("nuclei_count", "nuclei_area")
"""Keys of these metrics."""
SMOOTHING = 0.7
"""Standard deviation in pixels of the blur against pixel noise."""
MIN_AREA = 9
"""Smallest nucleus in pixels (3 x 3); what is smaller is noise, or cannot be told from it."""
LIMITS = (0.75, 1.5)
"""A patch's own threshold may differ from that of all real patches by these factors: Otsu splits anything,
and without the lower limit a patch without nuclei would be split into stroma and less stroma."""
N_POOLED = 256
"""Real patches, evenly spaced, that the threshold of all is taken from (up to twice as many)."""
_BINS = 128
_BATCH = 64
"""Patches segmented at once, so that memory does not grow with their number."""
_WITHIN_A_PATCH = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
"""Neighbours of a pixel in a stack of patches: four, none of them in another patch."""


@dataclass(frozen=True)
class Nuclei:
    """What the segmentation found, one entry a patch."""

    count: NDArray[np.float64]
    """`(N,)` number of nuclei."""
    area: NDArray[np.float64]
    """`(N,)` median area in pixels; NaN where a patch has no nucleus."""


def haematoxylin(images: Tensor) -> NDArray[np.float32]:
    """Return the slightly blurred haematoxylin density `(N, H, W)` of uint8 RGB images."""
    density = stain_densities(images)[:, 0].numpy()
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(density, (0, SMOOTHING, SMOOTHING))
    return blurred


def otsu(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each row of `values` `(N, P)` the threshold of two classes of least variance, `(N,)`.

    It is sought on 128 bins between the row's extremes. A constant row is its own threshold.

    Reference: Otsu 1979, "A threshold selection method from gray-level histograms", eq. (18).
    """
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    width = np.maximum(high - low, 1e-12) / _BINS
    bins = np.minimum((values - low) / width, _BINS - 1).astype(np.int64)
    bins += _BINS * np.arange(len(values))[:, None]
    counts = np.bincount(bins.ravel(), minlength=_BINS * len(values)).reshape(len(values), _BINS)
    below = counts.cumsum(1)[:, :-1] / values.shape[1]
    moments = (counts * np.arange(_BINS)).cumsum(1) / values.shape[1]
    between = (moments[:, -1:] * below - moments[:, :-1]) ** 2 / np.maximum(below * (1 - below), 1e-12)
    edges: NDArray[np.float64] = low[:, 0] + (between.argmax(1) + 1.0) * width[:, 0]
    return edges


def find_nuclei(density: NDArray[np.float32], pooled: float) -> Nuclei:
    """Find nuclei: connected pixels of at least `MIN_AREA` above a patch's own, limited threshold.

    Touching nuclei count as one, nuclei cut by the border count whole, and whatever else is dark purple
    (ink, folds, crowded debris) counts too. At 0.5 to 1 micrometre a pixel a nucleus is 8 to 16 px across; at
    2 and more it is a few pixels, and the figures describe dark texture rather than cells. Compare sides of
    one magnification only.

    Args:
        density: `(N, H, W)` of `haematoxylin`.
        pooled: Otsu's threshold of all pixels of the real patches, from which a patch's own may not stray
            beyond `LIMITS`.
    """
    n = len(density)
    low, high = (factor * pooled for factor in LIMITS)
    threshold = otsu(density.reshape(n, -1)).clip(low, high)
    labels, _ = ndimage.label(density > threshold[:, None, None], structure=_WITHIN_A_PATCH)
    areas = np.bincount(labels.ravel())
    patch = np.zeros(len(areas), dtype=np.int64)
    patch[labels.reshape(n, -1)] = np.arange(n)[:, None]
    areas[0] = 0  # the background
    kept = areas >= MIN_AREA
    count = np.bincount(patch[kept], minlength=n).astype(np.float64)
    area = np.full(n, np.nan)
    found = np.flatnonzero(count)
    if len(found):
        area[found] = ndimage.median(areas[kept], patch[kept], found)
    return Nuclei(count, area)


def nuclei(real: Tensor, fake: Tensor, *, seed: int = 0) -> dict[str, Metric]:
    """Compare the number of nuclei a patch and their median area, generated against real.

    Each figure is a Wasserstein-1 distance in standard deviations of the real distribution (see
    `wasserstein`), with the means of both sides beside it. Patches without nuclei have no area and count for
    the number alone. Both sides are segmented alike, with limits from the real one.

    Args:
        real: `(N, 3, H, W)` uint8, RGB, H&E.
        fake: `(M, 3, H, W)` uint8, RGB, H&E.
        seed: seed of the half-samples behind the intervals.
    """
    some = real[:: max(len(real) // N_POOLED, 1)]
    densities = np.concatenate([haematoxylin(batch).ravel() for batch in torch.split(some, _BATCH)])
    pooled = float(otsu(densities[None])[0])
    ours, theirs = _find_all(real, pooled), _find_all(fake, pooled)
    areas = (side.area[~np.isnan(side.area)] for side in (ours, theirs))
    return {
        "nuclei_count": wasserstein("nuclei count", ours.count, theirs.count, unit="a patch", seed=seed),
        "nuclei_area": wasserstein("nuclei area", *areas, unit="px", seed=seed),
    }


def _find_all(images: Tensor, pooled: float) -> Nuclei:
    """Return the nuclei of many images."""
    parts = [find_nuclei(haematoxylin(batch), pooled) for batch in torch.split(images, _BATCH)]
    return Nuclei(np.concatenate([p.count for p in parts]), np.concatenate([p.area for p in parts]))
