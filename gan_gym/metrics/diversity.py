"""Diversity: how far generated images lie from one another, against how far real ones do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gan_gym.metrics.halfsampling import standard_errors
from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 10
"""Fewer samples a side give no interval worth the name."""
_SPREAD = 1e-6
"""Mean squared distance below which images count as equal: float32 rounding reaches no further."""


def diversity(real: Tensor, fake: Tensor, *, seed: int = 0) -> Metric:
    """Compute the mean distance of pairs of fakes over that of pairs of reals; 1 = as diverse as real.

    The distance of a pair is LPIPS-style: the squared Euclidean distance of unit-length features. Over all
    pairs of n unit vectors its mean is `2 n / (n - 1) (1 - |mean|^2)` in closed form: nothing is sampled.

    It falls to 0 where all fakes are alike, but a generator that repeats n images still reaches 1 - 1/n: see
    recall and coverage for that. Above 1 the fakes scatter more than real images, as noise does. MS-SSIM,
    the older measure, halves the image four times under a window of 11 px and so needs 161 px at least; it
    says nothing about patches of 32 or 64 px.

    Args:
        real: `(N, D)` features of real images.
        fake: `(M, D)` features of generated images.
        seed: seed of the private generator that draws the half-samples behind the interval.

    References:
        Zhang et al. 2018, "The unreasonable effectiveness of deep features", https://arxiv.org/abs/1801.03924
        (the distance); Zhu et al. 2017, https://arxiv.org/abs/1711.11586, section 5 (diversity by it).
    """
    smallest = min(len(real), len(fake))
    if smallest < MIN_SAMPLES:
        return Metric.missing(f"diversity needs at least {MIN_SAMPLES} images a side; got {smallest}")
    x, y = (normalize(side.double(), dim=1) for side in (real, fake))
    if _mean_distance(x) < _SPREAD:
        return Metric.missing("the real images are all alike, so there is no diversity to compare with")

    def ratio(r: Tensor, f: Tensor) -> NDArray[np.float64]:
        return np.array([_mean_distance(y[f]) / max(_mean_distance(x[r]), _SPREAD)])

    value = _mean_distance(y) / _mean_distance(x)
    error = standard_errors(ratio, len(x), len(y), seed=seed)[0]
    return Metric.around(value, float(error), minimum=0.0)


def _mean_distance(units: Tensor) -> float:
    """Return the mean squared distance over all pairs of rows, which have unit length (or are all 0)."""
    n = len(units)
    mean_square = float(units.square().sum(1).mean())
    return max(2 * n / (n - 1) * (mean_square - float(units.mean(0).square().sum())), 0.0)
