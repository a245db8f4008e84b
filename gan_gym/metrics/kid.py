"""Kernel inception distance: an unbiased distance between two samples of features."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_gym.metrics.halfsampling import subsets
from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 10
"""Fewer samples a side give no interval worth the name."""
_ROWS = 1_024
"""Rows of the kernel matrix held at once."""


def kid(real: Tensor, fake: Tensor, *, n_subsets: int = 100, seed: int = 0) -> Metric:
    """Compute KID, the unbiased squared MMD under the cubic kernel `(x.y / D + 1)^3`.

    The value is the U-statistic on all samples (what the mean over ever more random subsets tends to), times
    1: many papers print it times 1000. It is unbiased, so it may fall slightly below 0 where the two samples
    are alike. The interval comes from `n_subsets` half-samples of each side (see `halfsampling`); around 0 it
    is somewhat too wide.

    Args:
        real: `(N, D)` features of real images.
        fake: `(M, D)` features of generated images.
        n_subsets: number of half-samples behind the interval.
        seed: seed of the private generator that draws them.

    References:
        Binkowski et al. 2018, "Demystifying MMD GANs", https://arxiv.org/abs/1801.01401, section 4.3; Gretton
        et al. 2012, "A kernel two-sample test", eq. (3).
    """
    smallest = min(len(real), len(fake))
    if smallest < MIN_SAMPLES:
        return Metric.missing(f"KID needs at least {MIN_SAMPLES} images a side; got {smallest}")
    generator = torch.Generator().manual_seed(seed)
    x, y = real.double(), fake.double()
    w_x, w_y = (_subset_weights(len(side), n_subsets, generator) for side in (x, y))
    n, m = w_x.sum(1), w_y.sum(1)
    mmd2 = (
        _pair_sums(x, x, w_x, w_x, diagonal=False) / (n * (n - 1))
        + _pair_sums(y, y, w_y, w_y, diagonal=False) / (m * (m - 1))
        - 2 * _pair_sums(x, y, w_x, w_y, diagonal=True) / (n * m)
    )
    value = mmd2[0]
    return Metric.around(float(value), float((mmd2[1:] - value).square().mean().sqrt()))


def _subset_weights(n: int, n_subsets: int, generator: torch.Generator) -> Tensor:
    """Return 0/1 weights `(1 + n_subsets, n)`: all samples first, then random halves."""
    weights = torch.zeros(1 + n_subsets, n, dtype=torch.float64)
    weights[0] = 1
    weights[1:].scatter_(1, subsets(n, n // 2, n_subsets, generator), 1.0)
    return weights


def _pair_sums(x: Tensor, y: Tensor, w_x: Tensor, w_y: Tensor, *, diagonal: bool) -> Tensor:
    """Sum the kernel over all pairs of each subset, `(S,)`, with or without a sample paired with itself."""
    total = torch.zeros(len(w_x), dtype=torch.float64)
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        if not diagonal:
            kernel.diagonal(start).zero_()
        total += (w_x[:, rows] * (kernel @ w_y.T).T).sum(1)
    return total
