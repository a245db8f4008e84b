"""Euclidean distances between two sets of features, in blocks that fit the memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_ROWS = 1_024
"""Rows of the distance matrix held at once."""


def distance_blocks(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, distances `(at most 1024, M)`) for the rows of `x` `(N, D)` against `y` `(M, D)`."""
    for start in range(0, len(x), _ROWS):
        yield start, torch.cdist(x[start : start + _ROWS], y)


def neighbour_radii(x: Tensor, k: int) -> Tensor:
    """Return each sample's distance to its `k`-th nearest other sample, `(N,)`."""
    radii = []
    for start, block in distance_blocks(x, x):
        block.diagonal(start).fill_(0.0)
        radii.append(block.kthvalue(k + 1, dim=1).values)
    return torch.cat(radii)


def nearest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance from each row of `x` to its nearest row of `y` and that row's index, `(N,)` each.

    The distance itself is recomputed from the difference: the matrix product behind `torch.cdist` would give
    identical vectors a distance well above 0.
    """
    index = torch.cat([block.argmin(1) for _, block in distance_blocks(x, y)])
    return (x - y[index]).norm(dim=1), index
