"""Memorisation: whether generated images lie closer to the training set than unseen real images do."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gan_gym.metrics.distances import nearest
from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 40
"""Fewer held-out images leave the fifth percentile to chance."""
COPY_FRACTION = 0.25
"""A copy lies nearer to a training image than this share of the median held-out distance. On PCam at 96 px
that holds for exact copies, for half of those saved as JPEG at quality 90, for 60 % of those darkened by 7 %,
and for 1 % or less of mirrored copies and of held-out images."""


@dataclass(frozen=True)
class Memorisation:
    """How near the fakes lie to the training set, against held-out real images."""

    below_5: Metric
    """Fraction of fakes nearer to a training image than the 5th percentile of unseen reals; healthy: 0.05."""
    below_1: Metric
    """The same with the 1st percentile; healthy: 0.01."""
    copies: Metric
    """Fraction of fakes that are near copies of a training image."""
    pairs: Tensor
    """`(P, 2)` int64: fake and its nearest training image, the closest pair first."""
    ratios: Tensor
    """`(P,)` distance of each pair over the median held-out distance; 0 is an exact copy."""


def memorisation(
    train: Tensor, held_out: Tensor, fake: Tensor, *, n_pairs: int = 16, n_resamples: int = 200, seed: int = 0
) -> Memorisation:
    """Compare the nearest-training-image distances of fakes and of held-out real images.

    A generator that has learnt the distribution comes as near to the training set as unseen real images do.
    One that has stored it comes nearer. The intervals are bootstraps over both the fakes' and the held-out
    images' distances, the training set being what it is.

    Distances are those of unit-length features. With features as they are, a training image whose features
    are short is the nearest of many images that do not resemble it.

    Args:
        train: `(N, D)` features of the images the generator was trained on.
        held_out: `(H, D)` features of real images it never saw.
        fake: `(M, D)` features of generated images.
        n_pairs: closest pairs to return.
        n_resamples: bootstrap resamples behind the intervals.
        seed: seed of the private generator that draws them.

    Reference:
        Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models",
        https://arxiv.org/abs/2004.05675 (the idea of the held-out yardstick; the percentiles are our choice).
    """
    smallest = min(len(held_out), len(fake))
    if smallest < MIN_SAMPLES or len(train) == 0:
        return _without_value(
            f"memorisation needs training images and at least {MIN_SAMPLES} held-out and generated ones; "
            f"got {len(train)}, {len(held_out)} and {len(fake)}"
        )
    train, held_out, fake = (normalize(side, dim=1) for side in (train, held_out, fake))
    expected = nearest(held_out, train)[0].double()
    distance, neighbour = nearest(fake, train)
    distance = distance.double()
    near = COPY_FRACTION * expected.median()
    if near == 0 or (expected < near).double().mean() > 0.05:
        return _without_value(
            "more than 5 % of the held-out images are near copies of training images, so they are no "
            "yardstick: split the real images by slide or patient and remove duplicates"
        )
    generator = torch.Generator().manual_seed(seed)
    resampled = [(_resample(distance, generator), _resample(expected, generator)) for _ in range(n_resamples)]
    thresholds = (expected.quantile(0.05), expected.quantile(0.01), near)
    drawn = [
        [_share(fakes, limit) for limit in (reals.quantile(0.05), reals.quantile(0.01), near)]
        for fakes, reals in resampled
    ]
    below_5, below_1, copies = (
        _metric(_share(distance, limit), torch.tensor([shares[i] for shares in drawn]), len(fake))
        for i, limit in enumerate(thresholds)
    )
    order = distance.argsort()[:n_pairs]
    pairs = torch.stack([order, neighbour[order]], dim=1)
    return Memorisation(below_5, below_1, copies, pairs, distance[order] / expected.median())


def _without_value(reason: str) -> Memorisation:
    """Return no figures, and why."""
    missing = Metric.missing(reason)
    return Memorisation(missing, missing, missing, torch.empty(0, 2, dtype=torch.int64), torch.empty(0))


def _share(distances: Tensor, limit: Tensor) -> float:
    """Return the fraction of distances below a limit."""
    return float((distances < limit).double().mean())


def _resample(values: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many values with replacement."""
    return values[torch.randint(len(values), (len(values),), generator=generator)]


def _metric(value: float, drawn: Tensor, n: int) -> Metric:
    """Return a share with the percentile interval of its resamples."""
    low, high = drawn.quantile(torch.tensor([0.025, 0.975])).tolist()
    return Metric.share(value, low, high, n)
