"""Painters of tissues made of loose or crowded cells, living, dead or afloat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.canvas import Canvas
from gan_gym.data.histology.connective import collagen
from gan_gym.data.histology.noise import Array, cell_distances, ramp
from gan_gym.data.histology.nuclei import (
    FRAGMENT,
    GHOST,
    LYMPHOBLAST,
    LYMPHOCYTE,
    MUCIN_CELL,
    TUMOR_DARK,
    TUMOR_VESICULAR,
    NucleusKind,
)

_CYTOPLASM = NucleusKind(4.2, 0.1, (1.0, 1.3), (0.4, 0.55), rim=0.1)
"""Bodies of the cells afloat in mucin, drawn like nuclei but in eosin."""


def paint_lymphocytes(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw crowded lymphocytes with hardly any cytoplasm, and paler, larger cells among them."""
    mottle = canvas.mottle[mask]
    eosin = 0.16 + 0.05 * mottle + 0.03 * canvas.grain[mask]
    canvas.add(mask, weight, 0.22 + 0.06 * mottle, eosin.clip(0.03))
    y, x = canvas.places(label, 5.5, 0.22, 0.96)
    crowded = canvas.at(canvas.mottle, y, x) + 0.6 * canvas.at(canvas.cloud, y, x) < 1.6
    large = canvas.rng.uniform(0, 1, len(y)) < 0.07
    canvas.stamp(LYMPHOCYTE, y[crowded & ~large], x[crowded & ~large])
    canvas.stamp(LYMPHOBLAST, y[crowded & large], x[crowded & large])


def paint_tumor(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw sheets of cells with large, dark, uneven nuclei, split by thin strands of stroma."""
    rng = canvas.rng
    mottle, grain = canvas.mottle[mask], canvas.grain[mask]
    y, x = (axis.astype(np.float32) for axis in np.nonzero(mask))
    first, second = cell_distances(rng, y + mottle, x - mottle, 9.5, 0.35)
    border = ramp(second - first, 1.6, 0.3)
    strand = ramp(np.abs(canvas.fibres(mask, 9.0, 5.0)), 0.13, 0.04)
    basophilia, eosinophilia = rng.uniform(0.20, 0.42), rng.uniform(0.30, 0.55)
    hematoxylin = basophilia + 0.05 * mottle + 0.05 * grain - 0.12 * border
    eosin = eosinophilia + 0.06 * grain + 0.05 * canvas.cloud[mask] - 0.16 * border
    between = collagen(canvas, mask)
    hematoxylin += strand * (between[0] - hematoxylin)
    eosin += strand * (between[1] - eosin)
    canvas.add(mask, weight, hematoxylin, eosin)

    stromal = np.zeros(mask.shape, bool)
    stromal[mask] = strand > 0.3
    y, x = canvas.places(label, rng.uniform(8.0, 9.5), 0.3, 0.93)
    cell = ~canvas.at(stromal, y, x)
    dark = rng.uniform(0, 1, len(y)) < 0.3
    pleomorphism = rng.uniform(0.14, 0.26)
    canvas.stamp(replace(TUMOR_VESICULAR, spread=pleomorphism), y[cell & ~dark], x[cell & ~dark])
    canvas.stamp(replace(TUMOR_DARK, spread=pleomorphism), y[cell & dark], x[cell & dark])


def paint_necrosis(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw granular pink debris with ghosts of cells and fragments of nuclei."""
    rng = canvas.rng
    mottle, grain = canvas.mottle[mask], canvas.grain[mask]
    y, x = (axis.astype(np.float32) for axis in np.nonzero(mask))
    first, _ = cell_distances(rng, y + mottle, x - mottle, 9.0, 0.42)
    ghost = ramp(first, 5.0, 2.5)
    hole = ramp(mottle + 0.5 * grain, -1.1, -1.8)
    eosin = 0.42 + 0.20 * grain + 0.20 * ghost + 0.10 * canvas.cloud[mask]
    hematoxylin = 0.10 + 0.05 * np.abs(grain) + 0.04 * ghost
    canvas.add(mask, weight, hematoxylin, eosin.clip(0.08) * (1 - 0.8 * hole))
    canvas.stamp(GHOST, *canvas.places(label, 9.0, 0.45, 0.35))
    y, x = canvas.places(label, 6.5, 0.5)
    crumbling = rng.uniform(0, 1, len(y)) < 0.16 + 0.3 * (canvas.at(canvas.cloud, y, x) > 0.5)
    y, x = np.tile(y[crumbling], 3), np.tile(x[crumbling], 3)
    scatter = rng.normal(0, 1.8, (2, len(y))).astype(np.float32)
    canvas.stamp(FRAGMENT, y + scatter[0], x + scatter[1])


def paint_mucin(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw pale blue-grey pools with wisps, and small groups of cells afloat in them."""
    rng = canvas.rng
    wisps = canvas.fibres(mask, 4.5, 8.0)
    fine = canvas.fibres(mask, 1.4, 5.0) * ramp(canvas.mottle[mask], -0.3, 1.2)
    hematoxylin = 0.17 + 0.05 * wisps + 0.05 * fine + 0.05 * canvas.cloud[mask]
    canvas.add(mask, weight, hematoxylin.clip(0.02), 0.05 + 0.03 * fine)
    y, x = canvas.places(label, 26.0, 0.4, 0.75)
    y, x = np.repeat(y, 6), np.repeat(x, 6)
    scatter = rng.normal(0, 4.2, (2, len(y))).astype(np.float32)
    y, x = y + scatter[0], x + scatter[1]
    bodies = np.zeros_like(canvas.eosin)
    _CYTOPLASM.stamp(rng, bodies, y, x)
    canvas.eosin += bodies
    canvas.hematoxylin += 0.3 * bodies
    canvas.stamp(MUCIN_CELL, y, x)
