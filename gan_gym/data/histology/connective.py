"""Painters of connective tissue and muscle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.canvas import Canvas
from gan_gym.data.histology.noise import Array, cell_distances, ramp
from gan_gym.data.histology.nuclei import ADIPOCYTE, FIBROBLAST, LYMPHOCYTE, MYOCYTE


def collagen(canvas: Canvas, mask: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return hematoxylin and eosin of wavy collagen with clefts between its bundles, `(mask.sum(),)` each."""
    strands = canvas.fibres(mask, 1.1, 1.6)
    bundles = canvas.fibres(mask, 2.6, 3.5)
    cleft = ramp(bundles + 0.7 * canvas.cloud[mask], -0.8, -1.9)
    eosin = 0.50 + 0.15 * strands + 0.10 * bundles + 0.05 * canvas.grain[mask]
    return 0.06 + 0.02 * strands * (1 - cleft), eosin.clip(0.12) * (1 - 0.85 * cleft)


def paint_stroma(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw wavy collagen with spindle nuclei along the fibres and a few stray lymphocytes."""
    canvas.add(mask, weight, *collagen(canvas, mask))
    y, x = canvas.places(label, 12.5, 0.45, 0.75)
    angle = canvas.flow_angle(y, x) + canvas.rng.normal(0, 0.15, len(y)).astype(np.float32)
    canvas.stamp(FIBROBLAST, y, x, angle)
    canvas.stamp(LYMPHOCYTE, *canvas.places(label, 22.0, 0.5, 0.3))


def paint_muscle(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw dense, strongly eosinophilic bundles with long nuclei and pale septa."""
    fine = canvas.fibres(mask, 0.8, 0.6)
    bundles = canvas.fibres(mask, 3.2, 1.2)
    septum = ramp(bundles + 0.5 * canvas.mottle[mask], -1.1, -2.3)
    eosin = 0.80 + 0.08 * fine + 0.12 * bundles.clip(-1.5, 1.5)
    eosin += 0.05 * canvas.grain[mask] + 0.08 * canvas.cloud[mask]
    canvas.add(mask, weight, 0.16 + 0.03 * fine, eosin * (1 - 0.7 * septum))
    y, x = canvas.places(label, 13.0, 0.45, 0.8)
    canvas.stamp(MYOCYTE, y, x, canvas.flow_angle(y, x))


def paint_fat(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw large empty vacuoles between thin membranes, with flat nuclei on these."""
    y, x = (axis.astype(np.float32) for axis in np.nonzero(mask))
    wobble = 1.6 * canvas.mottle[mask]
    first, second = cell_distances(canvas.rng, y + wobble, x - wobble, 23.0, 0.33)
    membrane = ramp(second - first, 2.6, 0.7)
    canvas.add(mask, weight, 0.05 * membrane, 0.012 + 0.40 * membrane + 0.06 * membrane * canvas.grain[mask])
    on_it = np.flatnonzero(second - first < 0.8)
    chosen = on_it[canvas.rng.uniform(0, 1, len(on_it)) < 0.02]
    canvas.stamp(ADIPOCYTE, y[chosen], x[chosen])
