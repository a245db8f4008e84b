"""How far the distribution of one number over generated patches lies from that over real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from torch import Tensor

from gan_gym.metrics.halfsampling import standard_errors
from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 20
"""Fewer patches a side say nothing about a distribution."""


def wasserstein(
    what: str, real: NDArray[np.float64], fake: NDArray[np.float64], *, unit: str, seed: int = 0
) -> Metric:
    """Compute the Wasserstein-1 distance of two samples of a number, in standard deviations of the real one.

    0 = alike; a shift of the whole distribution by one standard deviation gives 1, and so does a spread that
    is wrong by about as much. Two finite samples of one distribution are never quite alike: expect about
    `1.8 / sqrt(n)` with n patches a side where nothing differs, and read smaller values as 0.

    Args:
        what: name of the number, for the reason where there is no figure.
        real: `(N,)` the number of each real patch.
        fake: `(M,)` the number of each generated patch.
        unit: unit of the number, recorded beside the means of both sides.
        seed: seed of the half-samples behind the interval.

    Reference: Villani 2009, "Optimal transport", definition 6.1 and remark 6.5.
    """
    smallest = min(len(real), len(fake))
    if smallest < MIN_SAMPLES:
        return Metric.missing(f"{what} needs at least {MIN_SAMPLES} such patches a side; got {smallest}")
    spread = float(real.std())
    if spread <= 1e-9 * max(1.0, float(np.abs(real).max())):
        return Metric.missing(f"all real patches have the same {what}, so there is no spread to compare with")

    def distance(r: Tensor, f: Tensor) -> NDArray[np.float64]:
        return np.array([wasserstein_distance(real[r.numpy()], fake[f.numpy()]) / spread])

    value = float(wasserstein_distance(real, fake)) / spread
    error = float(standard_errors(distance, len(real), len(fake), seed=seed)[0])
    return Metric.around(value, error, minimum=0.0).with_details(
        mean_real=float(real.mean()), mean_fake=float(fake.mean()), unit=unit
    )
