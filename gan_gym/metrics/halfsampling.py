"""Half-sampling: the standard error of a statistic of two samples without pretending to have more data.

A bootstrap draws with replacement, and a repeated image is its own nearest neighbour, which ruins every
statistic made of distances. Subsets without replacement have no such repeats. For b of n samples the spread
of a statistic around its value on all n is, to first order, `sigma^2 (1/b - 1/n)`; at b = n/2 that is
`sigma^2 / n`, the sampling variance itself, and for another fraction f = b/n it is rescaled by `f / (1 - f)`.

Reference: Politis, Romano and Wolf, "Subsampling", Springer 1999; Shao and Wu, "A general theory for
jackknife variance estimation", Annals of Statistics 1989 (the delete-d jackknife).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_SUBSET = 1_000
"""Largest subset of one side, so that the cost of an interval does not grow with the data."""


def subsets(n: int, size: int, n_subsets: int, generator: torch.Generator) -> Tensor:
    """Draw index sets without replacement, `(n_subsets, size)` int64."""
    return torch.stack([torch.randperm(n, generator=generator)[:size] for _ in range(n_subsets)])


def standard_errors(
    statistic: Callable[[Tensor, Tensor], NDArray[np.float64]],
    n_real: int,
    n_fake: int,
    *,
    n_subsets: int = 30,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Estimate the standard error of each component of a statistic of two samples.

    Args:
        statistic: takes indices into the real and into the fake samples and returns `(K,)` figures.
        n_real: number of real samples.
        n_fake: number of fake samples.
        n_subsets: number of subset pairs to draw.
        seed: seed of the private generator.

    Returns:
        `(K,)` standard errors of the statistic on all samples.
    """
    generator = torch.Generator().manual_seed(seed)
    fraction = min(0.5, MAX_SUBSET / max(n_real, n_fake))
    real = subsets(n_real, max(int(fraction * n_real), 1), n_subsets, generator)
    fake = subsets(n_fake, max(int(fraction * n_fake), 1), n_subsets, generator)
    figures = np.stack([statistic(r, f) for r, f in zip(real, fake, strict=True)])
    return np.asarray(figures.std(axis=0, ddof=1) * np.sqrt(fraction / (1 - fraction)), dtype=np.float64)
