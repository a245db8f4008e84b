"""Where to cut patches from a class map, and how to take as many of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

PURITY = 0.6
"""Least share of a patch that its class fills."""
MAX_GLASS = 0.25
"""Largest share of a patch that is bare glass."""


def pure_windows(labels: NDArray[np.uint8], height: int, width: int, glass: int) -> Index:
    """Find the windows that one tissue fills and that hold little glass.

    Args:
        labels: `(H, W)` class map with tissues 0 to `glass - 1`.
        height: height of a window in pixels.
        width: width of a window in pixels.
        glass: the class of bare glass.

    Returns:
        Row and column of the upper left corner, and class, of each window, `(N, 3)`.
    """
    stride = max(min(height, width) // 8, 1)

    def fill(label: int) -> Index:
        """Count the pixels of `label` in each window, by a summed-area table."""
        total = np.zeros((labels.shape[0] + 1, labels.shape[1] + 1), np.int32)
        np.cumsum(np.cumsum(labels == label, axis=0, dtype=np.int32), axis=1, out=total[1:, 1:])
        rows = total[height::stride] - total[:-height:stride]
        filled: Index = (rows[:, width::stride] - rows[:, :-width:stride]).astype(np.int64)
        return filled

    count = fill(0)
    best = np.zeros_like(count)
    for label in range(1, glass):
        of_label = fill(label)
        best[of_label > count] = label
        np.maximum(count, of_label, out=count)
    area = height * width
    row, col = np.nonzero((count >= PURITY * area) & (fill(glass) <= MAX_GLASS * area))
    return np.stack([row * stride, col * stride, best[row, col]], axis=1)


def balanced(rng: np.random.Generator, labels: Index, n: int) -> Index:
    """Choose `n` of the items labelled `labels`, `(N,)`: as many of each label, while there are enough.

    Returns:
        Indices of the chosen items in random order, `(n,)`, none twice.
    """
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_label = labels[order] == label
        rank[of_label] = np.arange(of_label.sum())
    chosen = order[np.argsort(rank, kind="stable")[:n]]
    return rng.permutation(chosen)
