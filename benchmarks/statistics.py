"""Interquartile means, failure rates, paired differences, probabilities of improvement, performance profiles.

All with 95 % intervals. Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (arXiv 2108.13264): few runs are described by intervals, from resampling them. All trainings of an
agent meet the same instances, and what is hard for one is hard for the others; so instances are resampled,
the same for all trainings. Trainings are too few to be resampled: what they differ by is Student's interval
over them. Both are independent and add up in squares, on the wide side: chance that is neither of an instance
nor of a training counts in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, trim_mean
from scipy.stats import t as student

N_BOOTSTRAP = 2000
"""Resamples an interval is taken from."""

Values = NDArray[np.float64]
"""Of runs: `(trainings, instances)`."""
Triple = list[float]
"""Value, lower and upper end of the 95 % interval."""
Statistic = Callable[[Values], Any]
"""Reduces the last axis."""


def iqm(values: Values) -> Any:
    """Return the mean of the middle half of the last axis."""
    return trim_mean(values, 0.25, axis=-1)


def mean(values: Values) -> Any:
    """Return the mean of the last axis."""
    return np.mean(values, axis=-1)


def median(values: Values) -> Any:
    """Return the median of the last axis."""
    return np.median(values, axis=-1)


def interval(runs: Values, statistic: Statistic, seed: int = 0) -> Triple:
    """Return a statistic of all runs with its 95 % percentile interval.

    Args:
        runs: `(trainings, instances)`.
        statistic: reduces the last axis.
        seed: seed of the private generator.
    """
    n_instances = runs.shape[1]
    instances = np.random.default_rng(seed).integers(n_instances, size=(N_BOOTSTRAP, n_instances))
    resampled = statistic(np.moveaxis(runs[:, instances], 1, 0).reshape(N_BOOTSTRAP, -1))
    return list(map(float, _widened(statistic(runs.ravel()), resampled, statistic(runs))))


def mean_interval(values: Sequence[float]) -> Triple:
    """Return the mean of a few independent values with Student's 95 % interval; one value has none.

    Resampling so few would give intervals that are too narrow.
    """
    sample = np.asarray(values, float)
    value, half = float(mean(sample)), float(_half(sample))
    return [value, value - half, value + half]


def share_interval(n_hits: float, n: int) -> Triple:
    """Return a share with Wilson's 95 % interval, which holds for shares of 0 and 1 too.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22, p. 209.
    """
    z2, share = norm.ppf(0.975) ** 2, n_hits / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return [share, float(max(centre - half, 0.0)), float(min(centre + half, 1.0))]


def paired_difference(ours: Values, theirs: Values, seed: int = 0) -> Triple:
    """Return the mean difference of two agents on the same instances.

    The interval speaks of other instances and of other trainings of both.

    Args:
        ours: `(trainings, instances)`.
        theirs: `(trainings, instances)`, of the same instances.
        seed: seed of the private generator.
    """
    differences = ours.mean(axis=0) - theirs.mean(axis=0)
    resampled = _shares(len(differences), seed, 0) @ differences
    return list(map(float, _widened(differences.mean(), resampled, ours.mean(axis=1), theirs.mean(axis=1))))


def probability_of_improvement(ours: Values, theirs: Values, seed: int = 0) -> Triple:
    """Return how probably a run of ours is above a run of theirs, a tie counting half.

    It is Mann and Whitney's U over the number of pairs.

    Args:
        ours: `(trainings, instances)`.
        theirs: the same of the other agent.
        seed: seed of the private generator.
    """
    won = (np.sign(ours[:, :, None, None] - theirs) + 1) / 2
    mine, others = (_shares(runs.shape[1], seed, side) for side, runs in enumerate((ours, theirs)))
    resampled = ((mine @ won.mean(axis=(0, 2))) * others).sum(axis=1)
    of_trainings = won.mean(axis=(1, 2, 3)), won.mean(axis=(0, 1, 3))
    return list(map(float, _widened(won.mean(), resampled, *of_trainings).clip(0, 1)))


def performance_profile(runs: Values, thresholds: Values, seed: int = 0) -> Values:
    """Return the share of runs above each threshold with its pointwise 95 % band.

    Args:
        runs: `(trainings, instances)`.
        thresholds: `(K,)`.
        seed: seed of the private generator.

    Returns:
        `(3, K)`: shares, lower and upper ends.
    """
    above = (runs[:, :, None] > thresholds).astype(float)
    resampled = _shares(runs.shape[1], seed, 0) @ above.mean(axis=0)
    return _widened(above.mean(axis=(0, 1)), resampled, above.mean(axis=1)).clip(0, 1)


def _widened(value: Any, resampled: Values, *of_trainings: Values) -> Values:
    """Return `(3, ...)`: a statistic and its interval over instances, widened by what trainings differ by.

    Args:
        value: the statistic, `(...)`.
        resampled: `(N_BOOTSTRAP, ...)` of it, from other instances.
        of_trainings: `(trainings, ...)` of each agent that has a part in it, training by training.
    """
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    halves = [_half(own) for own in of_trainings]
    below, above = (
        np.sqrt(np.square(np.maximum(side, 0)) + sum(np.square(half) for half in halves))
        for side in (value - low, high - value)
    )
    return np.stack([value, value - below, value + above])


def _half(sample: Values) -> Any:
    """Return half of Student's 95 % interval of the mean over the first axis; one value has none."""
    n = len(sample)
    if n == 1:
        return np.zeros(sample.shape[1:])
    return student.ppf(0.975, n - 1) * sample.std(axis=0, ddof=1) / np.sqrt(n)


@lru_cache(maxsize=64)
def _shares(n: int, seed: int, stream: int) -> Values:
    """Return which share of each resample of n values each of them makes up, `(N_BOOTSTRAP, n)`."""
    return np.random.default_rng([seed, stream]).multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP) / n
