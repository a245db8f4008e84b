"""Smooth random fields: the irregularity in everything that is drawn."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Array = NDArray[np.float32]

_SPLINE_STD = 151 / 315
"""Standard deviation, averaged over a cell, of a cubic B-spline surface with standard normal coefficients."""


@lru_cache(maxsize=64)
def _spline_matrix(size: int, scale: float) -> csr_array:
    """Return the `(size, n_knots)` cubic B-spline basis with knots every `scale` pixels."""
    position = np.arange(size) / scale
    knot = position.astype(np.int32)
    f = position - knot
    weights = np.stack(
        [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1
    )
    columns = knot[:, None] + np.arange(4, dtype=np.int32)
    starts = np.arange(0, 4 * size + 1, 4, dtype=np.int32)
    values = (weights / 6).astype(np.float32).ravel()
    return csr_array((values, columns.ravel(), starts), shape=(size, int(knot[-1]) + 4))


def smooth_noise(rng: np.random.Generator, size: int, scale: float) -> Array:
    """Draw a `(size, size)` field, mean 0 and standard deviation 1, with blobs about `scale` pixels wide.

    The field is a cubic B-spline surface with normal coefficients. The basis is sparse, so that it costs four
    multiplications a pixel, and no BLAS library whose threads and rounding differ between machines.
    """
    basis = _spline_matrix(size, scale)
    knots = rng.standard_normal((basis.shape[1], basis.shape[1]), dtype=np.float32) / np.float32(_SPLINE_STD)
    field: Array = basis @ np.ascontiguousarray((basis @ knots).T)
    return field


def noise_table(rng: np.random.Generator, length: int, scale: float) -> Array:
    """Draw a periodic 1-D noise of `length` samples, mean 0 and deviation 1, smooth over `scale` samples."""
    frequency = np.fft.rfftfreq(length)
    spectrum = np.fft.rfft(rng.standard_normal(length)) * np.exp(-0.5 * (2 * np.pi * scale * frequency) ** 2)
    spectrum[0] = 0
    table = np.fft.irfft(spectrum, length)
    scaled: Array = (table / table.std()).astype(np.float32)
    return scaled


def jittered_grid(rng: np.random.Generator, size: int, spacing: float, jitter: float) -> tuple[Array, Array]:
    """Scatter points evenly over `(size, size)` pixels: a hexagonal grid moved by up to `jitter` spacings.

    Returns:
        Rows and columns, `(N,)` each, all inside the square.
    """
    n_rows = int(size / (spacing * 0.866)) + 2
    n_cols = int(size / spacing) + 2
    row, col = np.indices((n_rows, n_cols))
    moved = rng.uniform(-jitter, jitter, (2, n_rows, n_cols))
    y = ((row * 0.866 - rng.uniform() + moved[0]) * spacing).astype(np.float32)
    x = ((col + 0.5 * (row % 2) - rng.uniform() + moved[1]) * spacing).astype(np.float32)
    inside = (y >= 0) & (y < size) & (x >= 0) & (x < size)
    return y[inside], x[inside]


def cell_distances(
    rng: np.random.Generator, y: Array, x: Array, spacing: float, jitter: float
) -> tuple[Array, Array]:
    """Return the distances in pixels from the points `(y, x)`, each `(N,)`, to the nearest two cell centres.

    The centres are a square grid moved by at most `jitter` <= 0.5 spacings, so that the 3 x 3 grid cells
    around a point hold its nearest (Worley, "A cellular texture basis function", SIGGRAPH 1996).
    """
    v, u = y / np.float32(spacing) + 1, x / np.float32(spacing) + 1
    row, col = v.astype(np.int32), u.astype(np.int32)
    n_rows, n_cols = int(row.max(initial=0)) + 2, int(col.max(initial=0)) + 2
    centre = rng.uniform(0.5 - jitter, 0.5 + jitter, (2, n_rows, n_cols)).astype(np.float32)
    centre_y = centre[0] + np.arange(n_rows, dtype=np.float32)[:, None]
    centre_x = centre[1] + np.arange(n_cols, dtype=np.float32)
    first = np.full(len(y), np.inf, np.float32)
    second = first.copy()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            at = (row + i) * n_cols + (col + j)
            square = (centre_y.take(at) - v) ** 2 + (centre_x.take(at) - u) ** 2
            np.minimum(second, np.maximum(first, square), out=second)
            np.minimum(first, square, out=first)
    return np.sqrt(first) * np.float32(spacing), np.sqrt(second) * np.float32(spacing)


def ramp(values: Array, low: float, high: float) -> Array:
    """Go from 0 at `low` to 1 at `high`, linearly, and stay there beyond; `low` may be the larger."""
    rising: Array = (values - np.float32(low)) * np.float32(1 / (high - low))
    return rising.clip(0, 1)
