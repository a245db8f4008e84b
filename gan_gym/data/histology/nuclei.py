"""Cell nuclei: small soft ellipses with a membrane, chromatin and nucleoli."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_gym.data.histology.noise import Array, ramp, smooth_noise

_BANK = 96
_GRAIN = 1.6


@dataclass(frozen=True)
class NucleusKind:
    """What the nuclei of one kind of cell look like, and how far they differ among themselves."""

    radius: float
    """Mean radius (geometric mean of the half axes) in pixels."""
    spread: float
    """Standard deviation of the log radius: pleomorphism."""
    elongation: tuple[float, float]
    """Range of long over short axis."""
    density: tuple[float, float]
    """Range of the concentration of hematoxylin."""
    rim: float = 0.3
    """How much darker the membrane is than the inside: 0 smudged, 1 vesicular."""
    chromatin: float = 0.2
    """Contrast of the chromatin clumps."""
    nucleolus: float = 0.0
    """Strength of the nucleolus that most of them have."""
    bend: float = 0.0
    """Standard deviation of the curvature of the long axis."""
    lobing: float = 0.08
    """Standard deviation of the irregularity of the outline."""

    def stamp(
        self, rng: np.random.Generator, layer: Array, y: Array, x: Array, angle: Array | None = None
    ) -> None:
        """Draw nuclei into `layer`, in place; where two overlap the darker one wins.

        Args:
            rng: private generator.
            layer: `(H, W)` hematoxylin.
            y: rows of the centres, `(N,)`.
            x: columns of the centres, `(N,)`.
            angle: directions of the long axes in radians, `(N,)`, 0 along a row; uniform if `None`.
        """
        n = len(y)
        if n == 0:
            return

        def varied(values: np.ndarray) -> Array:
            return values.astype(np.float32)[:, None, None]

        size = self.radius * np.exp(self.spread * np.clip(rng.standard_normal(n), -2, 2))
        stretch = np.sqrt(rng.uniform(*self.elongation, n))
        major, minor = varied(size * stretch), varied(size / stretch)
        turn = varied(rng.uniform(0, np.pi, n) if angle is None else angle)
        half = int(np.ceil(major.max() * 1.15 + 1))
        offset = np.arange(-half, half + 1)
        rows = np.rint(y).astype(np.int64)[:, None] + offset
        cols = np.rint(x).astype(np.int64)[:, None] + offset
        dy = (rows - y[:, None]).astype(np.float32)[:, :, None]
        dx = (cols - x[:, None]).astype(np.float32)[:, None, :]
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / major
        v = (dy * np.cos(turn) - dx * np.sin(turn)) / minor
        v += varied(self.bend * rng.standard_normal(n)) * (u * u - np.float32(0.4))

        square = u * u + v * v
        radius = np.sqrt(square)
        # The third harmonic r^3 cos 3t = u^3 - 3 u v^2 lobes the outline; the divisor bounds it far outside.
        lobes = u * (u * u - 3 * v * v) / (square * radius + np.float32(0.1))
        radius *= 1 + varied(self.lobing * rng.standard_normal(n)) * lobes
        inside = ((1 - radius) * minor + np.float32(0.5)).clip(0, 1)
        membrane = ramp(np.abs(radius - np.float32(0.85)), 0.31, 0.0)
        tone = 1 - varied(self.rim * rng.uniform(0.5, 1.5, n)) * (1 - np.float32(1.6) * membrane)

        at = rng.integers(0, _BANK, (2, n, 1)) + np.arange(2 * half + 1)
        clumps = smooth_noise(rng, _BANK, _GRAIN)[at[0][:, :, None] % _BANK, at[1][:, None, :] % _BANK]
        tone += varied(self.chromatin * rng.uniform(0.5, 1.5, n)) * clumps
        if self.nucleolus:
            spot = rng.uniform(-0.35, 0.35, (2, n))
            away = ((u - varied(spot[0])) * major) ** 2 + ((v - varied(spot[1])) * minor) ** 2
            tone += varied(self.nucleolus * (rng.uniform(0, 1, n) < 0.7)) * ramp(away, 1.6, 0.6)

        value = inside * varied(rng.uniform(*self.density, n)) * tone.clip(0.15, 1.8)
        seen = ((rows >= 0) & (rows < layer.shape[0]))[:, :, None] & (inside > 0)
        seen &= ((cols >= 0) & (cols < layer.shape[1]))[:, None, :]
        index = rows[:, :, None] * layer.shape[1] + cols[:, None, :]
        np.maximum.at(layer.reshape(-1), index[seen], value[seen])


FIBROBLAST = NucleusKind(2.2, 0.18, (2.4, 5.5), (1.0, 1.6), bend=0.25)
"""Thin spindles between collagen fibres."""
MYOCYTE = NucleusKind(2.3, 0.15, (3.0, 5.0), (0.9, 1.3), chromatin=0.25)
"""Long blunt cigars within muscle fibres."""
ADIPOCYTE = NucleusKind(1.9, 0.15, (1.5, 3.5), (1.2, 1.7), bend=0.3)
"""Flat nuclei pressed against the wall of a fat cell."""
LYMPHOCYTE = NucleusKind(2.45, 0.09, (1.0, 1.25), (1.7, 2.3), rim=0.1)
"""Small, round and dark."""
LYMPHOBLAST = NucleusKind(3.1, 0.1, (1.0, 1.5), (0.9, 1.2), rim=0.5)
"""Larger and paler, strewn among lymphocytes."""
COLUMNAR = NucleusKind(2.35, 0.1, (1.25, 1.9), (1.15, 1.6), chromatin=0.25)
"""Regular ovals of a glandular epithelium."""
MUCIN_CELL = NucleusKind(2.6, 0.15, (1.0, 1.5), (1.2, 1.7))
"""Nuclei of cells afloat in mucin."""
TUMOR_VESICULAR = NucleusKind(
    3.5, 0.2, (1.0, 1.9), (0.95, 1.5), rim=0.45, chromatin=0.38, nucleolus=0.8, bend=0.12, lobing=0.16
)
"""Large and irregular, with coarse open chromatin and nucleoli."""
TUMOR_DARK = NucleusKind(
    3.5, 0.2, (1.0, 1.9), (1.6, 2.3), rim=0.15, chromatin=0.38, nucleolus=0.8, bend=0.12, lobing=0.16
)
"""Large, irregular and hyperchromatic."""
GHOST = NucleusKind(2.9, 0.2, (1.0, 1.6), (0.35, 0.6), rim=0.5, chromatin=0.4)
"""Faded outlines of dead nuclei (karyolysis)."""
FRAGMENT = NucleusKind(0.95, 0.3, (1.0, 1.7), (1.0, 2.2), rim=0.0)
"""Dark crumbs of dead nuclei (karyorrhexis)."""
