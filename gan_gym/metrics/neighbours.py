"""Precision, recall, density, coverage: how much of the fakes is real, and of the real is reached."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_gym.metrics.distances import distance_blocks, neighbour_radii
from gan_gym.metrics.halfsampling import standard_errors
from gan_gym.metrics.metric import Metric

MIN_SAMPLES = 24
"""Fewer samples a side leave halves too small for a fifth neighbour."""
Name = Literal["precision", "recall", "density", "coverage"]


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 3, seed: int = 0) -> dict[str, Metric]:
    """Compute precision (fakes inside the real manifold) and recall (reals inside the fake manifold).

    A manifold is the union of the balls around its samples, each reaching to the `k`-th nearest neighbour.

    Args:
        real: `(N, D)` features of real images.
        fake: `(M, D)` features of generated images.
        k: neighbours that set the radius; 3 in the paper.
        seed: seed of the intervals' private generator.

    References:
        Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991, eq. (1) and (2).
    """
    return _metrics(real, fake, ("precision", "recall"), k, seed)


def density_coverage(real: Tensor, fake: Tensor, *, k: int = 5, seed: int = 0) -> dict[str, Metric]:
    """Compute density (real balls around a fake, over `k`) and coverage (reals with a fake in their ball).

    Density may exceed 1; unlike precision it is not fooled by a few outliers among the reals.

    Args:
        real: `(N, D)` features of real images.
        fake: `(M, D)` features of generated images.
        k: neighbours that set the radius; 5 in the paper.
        seed: seed of the intervals' private generator.

    References:
        Naeem et al. 2020, https://arxiv.org/abs/2002.09797, eq. (3) and (4).
    """
    return _metrics(real, fake, ("density", "coverage"), k, seed)


def _metrics(real: Tensor, fake: Tensor, names: tuple[Name, ...], k: int, seed: int) -> dict[str, Metric]:
    """Return the named figures with half-sampling intervals, or the reason why there are none."""
    smallest = min(len(real), len(fake))
    needed = max(MIN_SAMPLES, 4 * (k + 1))
    if smallest < needed:
        reason = f"needs at least {needed} images a side for k={k} neighbours; got {smallest}"
        return {name: Metric.missing(f"{name} {reason}") for name in names}
    centre = real.mean(0)
    real, fake = real - centre, fake - centre
    values = _figures(real, fake, names, k)
    errors = standard_errors(
        lambda r, f: _figures(real[r], fake[f], names, k), len(real), len(fake), seed=seed
    )
    figures = {}
    for name, value, error in zip(names, values.tolist(), errors.tolist(), strict=True):
        if name == "density":
            figures[str(name)] = Metric.around(value, error, minimum=0.0)
        else:
            counted = len(fake) if name == "precision" else len(real)
            figures[str(name)] = Metric.share(value, value - 1.96 * error, value + 1.96 * error, counted)
    return figures


def _figures(real: Tensor, fake: Tensor, names: tuple[Name, ...], k: int) -> NDArray[np.float64]:
    """Compute the named figures, `(len(names),)`; balls are open, as in the authors' `prdc`."""
    radii = neighbour_radii(real, k)
    reached = neighbour_radii(fake, k) if "recall" in names else torch.zeros(len(fake))
    balls = torch.zeros(len(fake))
    recalled, covered = [], []
    for start, block in distance_blocks(real, fake):
        inside = block < radii[start : start + len(block), None]
        balls += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((block < reached).any(1))
    figures: dict[Name, float] = {
        "precision": float((balls > 0).double().mean()),
        "recall": float(torch.cat(recalled).double().mean()),
        "density": float(balls.double().mean() / k),
        "coverage": float(torch.cat(covered).double().mean()),
    }
    return np.array([figures[name] for name in names])
