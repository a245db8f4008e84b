"""Interquartile means with stratified bootstrap intervals, and paired differences.

Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv
2108.13264): the mean of the middle half of all runs, with intervals from resampling runs within each stratum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import trim_mean

N_BOOTSTRAP = 2000
"""Resamples an interval is taken from."""

Values = NDArray[np.float64]
Triple = list[float]
"""Value, lower and upper end of the 95 % interval."""


def iqm(values: Values) -> float:
    """Return the mean of the middle half of all values."""
    return float(trim_mean(values, 0.25, axis=None))


def interval(strata: Sequence[Values], statistic: Callable[[Values], float], seed: int = 0) -> Triple:
    """Return a statistic of all values with its 95 % percentile interval.

    Args:
        strata: the runs of each stratum (a controller's seed, say); each is resampled by itself.
        statistic: maps values to a number.
        seed: seed of the private generator.
    """
    rng = np.random.default_rng(seed)
    resampled = [
        statistic(
            np.concatenate([stratum[rng.integers(len(stratum), size=len(stratum))] for stratum in strata])
        )
        for _ in range(N_BOOTSTRAP)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return [statistic(np.concatenate(strata)), float(low), float(high)]


def mean(values: Values) -> float:
    """Return the mean."""
    return float(np.mean(values))


def mean_interval(values: Sequence[float]) -> Triple:
    """Return the mean of a few independent values with Student's 95 % interval; one value has none.

    Resampling so few would give intervals that are too narrow.
    """
    sample = np.asarray(values, float)
    half = 0.0
    if len(sample) > 1:
        half = float(student.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample)))
    return [mean(sample), mean(sample) - half, mean(sample) + half]
