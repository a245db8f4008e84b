"""Where on a slide patches are cut: on a grid, within the tissue, at random."""

from __future__ import annotations

import math

import numpy as np

from gan_gym.data.regions import MIN_TISSUE

MAX_CELLS = 1 << 22
"""Most cells of a slide's grid that are looked at; a finer grid is thinned by whole blocks."""


def tissue_places(mask: np.ndarray, size: tuple[int, int], cell: tuple[float, float]) -> TissueGrid:
    """Lay a grid of cells, one a patch, over a slide and find those that hold tissue.

    Args:
        mask: `(h, w)` bool, the tissue on an overview of the slide.
        size: height and width of the slide in pixels of its full resolution.
        cell: height and width of a patch in the same pixels.
    """
    n_rows, n_columns = (int(side / length + 1e-9) for side, length in zip(size, cell, strict=True))
    block = max(1, math.ceil(math.sqrt(n_rows * n_columns / MAX_CELLS)))
    n_rows, n_columns = n_rows // block, n_columns // block
    share = mask.astype(np.float32)
    for axis, n in enumerate((n_rows, n_columns)):
        edges = np.arange(n + 1) * (block * cell[axis] * mask.shape[axis] / size[axis])
        share = _between(share, edges, axis)
    row, column = np.nonzero(share > MIN_TISSUE)
    return TissueGrid(np.stack([row, column], 1).astype(np.int32), block, cell)


class TissueGrid:
    """The blocks of a slide's grid that are more than half tissue.

    Args:
        blocks: `(N, 2)`, row and column of each.
        block: cells along a side of a block; 1 unless the grid is finer than `MAX_CELLS`.
        cell: height and width of a cell in pixels of the full resolution.
    """

    def __init__(self, blocks: np.ndarray, block: int, cell: tuple[float, float]) -> None:
        self.blocks, self.block, self.cell = blocks, block, cell

    def __len__(self) -> int:
        """Number of places, one a block."""
        return len(self.blocks)

    def draw(self, most: int, rng: np.random.Generator) -> np.ndarray:
        """Draw at most `most` places without overlap: `(K, 2)`, top and left in full-resolution pixels."""
        chosen = self.blocks[rng.permutation(len(self.blocks))[:most]].astype(np.int64) * self.block
        chosen += rng.integers(self.block, size=chosen.shape)
        return np.asarray(chosen * np.array(self.cell))


def even_shares(counts: list[int], total: int) -> list[int]:
    """Divide `total` as evenly as the counts allow: who has less gives all, the others share the rest.

    Example:
        >>> even_shares([2, 100, 100], 12)
        [2, 5, 5]
    """
    shares = [0] * len(counts)
    left = total
    for done, i in enumerate(sorted(range(len(counts)), key=lambda i: (counts[i], i))):
        shares[i] = min(counts[i], left // (len(counts) - done))
        left -= shares[i]
    return shares


def _between(values: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """Average `values` between successive `edges` along an axis; edges may lie within pixels."""
    sums = np.insert(values.cumsum(axis, dtype=np.float64), 0, 0, axis)
    low = np.minimum(edges.astype(int), values.shape[axis] - 1)
    shape = [1, 1]
    shape[axis] = -1
    fraction = np.minimum(edges - low, 1).reshape(shape)
    at = sums.take(low, axis) * (1 - fraction) + sums.take(low + 1, axis) * fraction
    lengths = np.maximum(np.diff(edges), 1e-12).reshape(shape)
    return np.asarray(np.diff(at, axis=axis) / lengths)
