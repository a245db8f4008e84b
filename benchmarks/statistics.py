"""Interquartile means, failure rates, paired differences, probabilities of improvement, performance profiles.

All with 95 % intervals. Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (arXiv 2108.13264): few runs are described by intervals, from resampling them. All trainings of an
agent meet the same instances, and what is hard for one is hard for the others; so the runs are a table
`(trainings, instances)` whose rows and columns are resampled, each by itself (Owen 2007, "The pigeonhole
bootstrap", arXiv 0712.1111: it errs on the wide side). Resampling runs within each training, as if each had
instances of its own, gives intervals that are too narrow.
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
    rng = np.random.default_rng(seed)
    n_trainings, n_instances = runs.shape
    instances = rng.integers(n_instances, size=(N_BOOTSTRAP, 1, n_instances))
    trainings = rng.integers(n_trainings, size=(N_BOOTSTRAP, n_trainings, 1))
    resampled = runs[trainings, instances].reshape(N_BOOTSTRAP, -1)
    low, high = np.quantile(statistic(resampled), [0.025, 0.975])
    return [float(statistic(runs.ravel())), float(low), float(high)]


def mean_interval(values: Sequence[float]) -> Triple:
    """Return the mean of a few independent values with Student's 95 % interval; one value has none.

    Resampling so few would give intervals that are too narrow.
    """
    sample = np.asarray(values, float)
    half = 0.0
    if len(sample) > 1:
        half = float(student.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample)))
    value = float(mean(sample))
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

    Instances and the trainings of both agents are resampled, each by itself, so the interval speaks of other
    instances and other trainings.

    Args:
        ours: `(trainings, instances)`.
        theirs: `(trainings, instances)`, of the same instances.
        seed: seed of the private generator.
    """
    instances = _shares(ours.shape[1], seed, 0)
    resampled = [
        ((_shares(len(values), seed, stream) @ values) * instances).sum(axis=1)
        for stream, values in enumerate((ours, theirs), start=1)
    ]
    low, high = np.quantile(resampled[0] - resampled[1], [0.025, 0.975])
    return [float(ours.mean() - theirs.mean()), float(low), float(high)]


def probability_of_improvement(ours: Values, theirs: Values, seed: int = 0) -> Triple:
    """Return how probably a run of ours is above a run of theirs, a tie counting half.

    It is Mann and Whitney's U over the number of pairs.

    Args:
        ours: `(trainings, instances)`.
        theirs: the same of the other agent.
        seed: seed of the private generator.
    """
    won = (np.sign(ours.reshape(-1, 1) - theirs.ravel()) + 1) / 2
    mine, others = (_shares_of_runs(runs, seed, side) for side, runs in enumerate((ours, theirs)))
    resampled = ((mine @ won) * others).sum(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return [float(won.mean()), float(low), float(high)]


def performance_profile(runs: Values, thresholds: Values, seed: int = 0) -> Values:
    """Return the share of runs above each threshold with its pointwise 95 % band.

    Args:
        runs: `(trainings, instances)`.
        thresholds: `(K,)`.
        seed: seed of the private generator.

    Returns:
        `(3, K)`: shares, lower and upper ends.
    """
    above = runs.reshape(-1, 1) > thresholds
    low, high = np.quantile(_shares_of_runs(runs, seed, 0) @ above, [0.025, 0.975], axis=0)
    return np.stack([above.mean(axis=0), low, high])


def _shares_of_runs(runs: Values, seed: int, side: int) -> Values:
    """Return which share of each resample every run makes up, `(N_BOOTSTRAP, runs)`."""
    n_trainings, n_instances = runs.shape
    instances, trainings = _shares(n_instances, seed, side), _shares(n_trainings, seed, 2 + side)
    return (trainings[:, :, None] * instances[:, None, :]).reshape(N_BOOTSTRAP, -1)


@lru_cache(maxsize=64)
def _shares(n: int, seed: int, stream: int) -> Values:
    """Return which share of each resample of n values each of them makes up, `(N_BOOTSTRAP, n)`."""
    return np.random.default_rng([seed, stream]).multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP) / n
