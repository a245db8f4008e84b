"""What the painters draw on: stain layers, and the random fields that all tissues of a region share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.noise import Array, jittered_grid, noise_table, smooth_noise
from gan_gym.data.histology.nuclei import NucleusKind

_TABLE = 2048
_STEPS_PER_PIXEL = 4


class Canvas:
    """The stain concentrations of one region in the making."""

    def __init__(self, rng: np.random.Generator, labels: NDArray[np.uint8]) -> None:
        """Start empty over the class map `labels`, `(H, H)`."""
        size = len(labels)
        self.rng = rng
        """Generator of the painter at work."""
        self.size = size
        self.labels = labels
        self.hematoxylin: Array = np.zeros((size, size), np.float32)
        self.eosin: Array = np.zeros((size, size), np.float32)
        self.nuclei: Array = np.zeros((size, size), np.float32)
        """Hematoxylin of the nuclei, kept apart because nuclei hide the cytoplasm behind them."""
        self.grain = smooth_noise(rng, size, 2.0)
        """Granules of about 2 px."""
        self.mottle = smooth_noise(rng, size, 7.0)
        """Unevenness at the size of a cell."""
        self.cloud = smooth_noise(rng, size, 26.0)
        """Unevenness at the size of a patch."""
        angle = rng.uniform(0, np.pi)
        axis = np.arange(size, dtype=np.float32)
        self.flow: Array = (
            np.float32(np.cos(angle)) * axis[:, None]
            + np.float32(np.sin(angle)) * axis
            + 17 * smooth_noise(rng, size, 60.0)
            + 5 * smooth_noise(rng, size, 22.0)
        )
        """Distance across the fibres in pixels: fibres are level lines of this field, and wave with it."""

    def add(self, mask: NDArray[np.bool_], weight: Array, hematoxylin: Array, eosin: Array) -> None:
        """Add ground stain where `mask`, `(H, H)`: weight times concentration, `(mask.sum(),)` each."""
        self.hematoxylin[mask] += weight * hematoxylin.clip(0)
        self.eosin[mask] += weight * eosin.clip(0)

    def fibres(self, mask: NDArray[np.bool_], width: float, wander: float) -> Array:
        """Return a field of stripes along the flow, mean 0 and deviation 1.

        Args:
            mask: `(H, H)`, where.
            width: scale across the fibres in pixels.
            wander: how far a fibre strays from the flow in pixels.
        """
        table = noise_table(self.rng, _TABLE, width * _STEPS_PER_PIXEL)
        across = (self.flow[mask] + wander * self.mottle[mask]) * _STEPS_PER_PIXEL
        stripes: Array = table[across.astype(np.int32) % _TABLE]
        return stripes

    def flow_angle(self, y: Array, x: Array) -> Array:
        """Return the direction of the fibres in radians at the points `(y, x)`, 0 along a row."""
        row = y.astype(np.int64).clip(1, self.size - 2)
        col = x.astype(np.int64).clip(1, self.size - 2)
        across_y = self.flow[row + 1, col] - self.flow[row - 1, col]
        across_x = self.flow[row, col + 1] - self.flow[row, col - 1]
        angle: Array = np.arctan2(across_x, -across_y)
        return angle

    def places(self, label: int, spacing: float, jitter: float, keep: float = 1.0) -> tuple[Array, Array]:
        """Scatter points over the tissue `label`.

        Args:
            label: index of the tissue in the class map.
            spacing: distance between neighbours in pixels.
            jitter: irregularity in spacings, see `jittered_grid`.
            keep: share of the points to keep.
        """
        y, x = jittered_grid(self.rng, self.size, spacing, jitter)
        kept = (self.rng.uniform(0, 1, len(y)) < keep) & (self.at(self.labels, y, x) == label)
        return y[kept], x[kept]

    def at(self, field: np.ndarray, y: Array, x: Array) -> np.ndarray:
        """Return `field`, `(H, H)`, at the points `(y, x)`; outside, at the nearest pixel."""
        row, col = y.astype(np.int64), x.astype(np.int64)
        values: np.ndarray = field[row.clip(0, self.size - 1), col.clip(0, self.size - 1)]
        return values

    def stamp(self, kind: NucleusKind, y: Array, x: Array, angle: Array | None = None) -> None:
        """Draw nuclei of a kind at the points `(y, x)`."""
        kind.stamp(self.rng, self.nuclei, y, x, angle)
