"""Frechet inception distance, in a form that stays real and finite, refused where it would mean nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 2_048
"""Fewer samples a side leave a bias larger than most differences between GANs."""


def fid(real: Tensor, fake: Tensor) -> Metric:
    """Compute FID, `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)`.

    The trace of the square root is the sum of the roots of the eigenvalues of a symmetric matrix, so neither
    rounding nor a collapsed generator (singular covariance) makes it complex. FID's bias falls only with 1/n:
    compare figures of equal n alone. The interval is the sampling error by the delta method and does not hold
    the bias.

    Args:
        real: `(N, D)` features of real images.
        fake: `(M, D)` features of generated images.

    Returns:
        The distance; without a value where a side has fewer than 2,048 samples or not more samples than
        features.

    References:
        Heusel et al. 2017, https://arxiv.org/abs/1706.08500, eq. (6); Chong and Forsyth 2020,
        https://arxiv.org/abs/1911.07023 (the bias).
    """
    smallest = min(len(real), len(fake))
    n_features = real.shape[1]
    if smallest < MIN_SAMPLES:
        return Metric.missing(
            f"FID needs at least {MIN_SAMPLES:,} images a side; got {smallest:,}: use KID, which is unbiased"
        )
    if smallest <= n_features:
        return Metric.missing(
            f"FID needs more images than features ({n_features:,}) a side; got {smallest:,}: use KID"
        )
    x, y = real.double(), fake.double()
    gap = x.mean(0) - y.mean(0)
    cov_x, cov_y = x.T.cov(), y.T.cov()
    values, vectors = torch.linalg.eigh(cov_x)
    root = _power(values, vectors, 0.5)
    product_values, product_vectors = torch.linalg.eigh(root @ cov_y @ root)
    cross = product_values.clamp(min=0).sqrt().sum()
    distance = gap.square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross
    inverse_root = _power(values, vectors, -0.5)
    eye = torch.eye(n_features, dtype=torch.float64)
    slope_x = eye - inverse_root @ _power(product_values, product_vectors, 0.5) @ inverse_root
    slope_y = eye - root @ _power(product_values, product_vectors, -0.5) @ root
    variance = _influence(x, gap, slope_x).var() / len(x) + _influence(y, -gap, slope_y).var() / len(y)
    return Metric.around(max(float(distance), 0.0), float(variance.sqrt()), minimum=0.0)


def _power(values: Tensor, vectors: Tensor, exponent: float) -> Tensor:
    """Raise a symmetric positive semi-definite matrix to a power, its null space left out."""
    keep = values > values.max() * len(values) * torch.finfo(torch.float64).eps
    powered = torch.where(keep, values.clamp(min=1e-300) ** exponent, 0.0)
    return (vectors * powered) @ vectors.T


def _influence(samples: Tensor, gap: Tensor, slope: Tensor) -> Tensor:
    """Return each sample's first-order effect on FID, up to a constant, `(N,)`.

    The derivative of FID is `2 gap` by the mean of a side and `slope` (identity minus the optimal transport
    map to the other side) by its covariance.
    """
    centred = samples - samples.mean(0)
    return 2 * centred @ gap + ((centred @ slope) * centred).sum(1)
