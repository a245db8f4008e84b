"""Painter of glands: tubes of columnar cells around a lumen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.canvas import Canvas
from gan_gym.data.histology.connective import collagen
from gan_gym.data.histology.noise import Array, ramp
from gan_gym.data.histology.nuclei import COLUMNAR, FIBROBLAST

_HEIGHT = 6.4
"""Height of the epithelium in pixels."""


def paint_gland(canvas: Canvas, label: int, mask: NDArray[np.bool_], weight: Array) -> None:
    """Draw glands in loose stroma: a lumen in a ring of columnar cells whose nuclei sit at the base.

    A gland covers what is below it, so this tissue is painted last.
    """
    rng = canvas.rng
    canvas.add(mask, weight, *collagen(canvas, mask))
    y, x = canvas.places(label, 11.0, 0.45, 0.7)
    canvas.stamp(FIBROBLAST, y, x, canvas.flow_angle(y, x))
    depth = np.full((canvas.size, canvas.size), -9.0, np.float32)
    centres = zip(*canvas.places(label, 25.0, 0.16), strict=True)
    nuclei = [_add_gland(rng, depth, float(cy), float(cx)) for cy, cx in centres]
    if not nuclei:
        return

    seen = depth > -1.5
    grain = canvas.grain[seen]
    d = depth[seen] + 0.35 * canvas.mottle[seen]
    body = ramp(d, -0.4, 0.6)
    lumen = ramp(d, _HEIGHT - 0.4, _HEIGHT + 0.5)
    apical = rng.uniform(0.0, 0.7) * ramp(d, 2.5, _HEIGHT)
    secretion = rng.uniform(0.0, 0.35) * ramp(canvas.cloud[seen], -0.5, 1.0)
    hematoxylin = (0.36 + 0.05 * grain) * (1 - apical)
    eosin = (0.55 + 0.08 * grain) * (1 - 0.7 * apical)
    hematoxylin += lumen * (0.02 - hematoxylin)
    eosin += lumen * (0.02 + secretion - eosin)
    basement = 0.35 * ramp(np.abs(d), 0.9, 0.2)
    canvas.hematoxylin[seen] += body * (hematoxylin - canvas.hematoxylin[seen])
    canvas.eosin[seen] += body * (eosin - canvas.eosin[seen]) + basement
    canvas.nuclei[seen] *= 1 - body

    y, x, angle = np.concatenate(nuclei, axis=1)
    basal = canvas.at(depth, y, x) < _HEIGHT - 1.5
    canvas.stamp(COLUMNAR, y[basal], x[basal], angle[basal])


def _add_gland(rng: np.random.Generator, depth: Array, y: float, x: float) -> Array:
    """Add one gland centred at `(y, x)` to `depth`, `(H, H)` pixels inside the outline, in place.

    Returns:
        Rows, columns and directions of its nuclei, `(3, N)`.
    """
    radius = rng.uniform(9.0, 13.5)
    stretch, tilt = np.sqrt(rng.uniform(1.0, 1.7)), rng.uniform(0, np.pi)
    lobes, phases = rng.normal(0, (0.06, 0.05, 0.03)), rng.uniform(0, 2 * np.pi, 3)

    def outline(angle: np.ndarray) -> np.ndarray:
        """Return the distance from the centre to the outline: a lobed ellipse."""
        lobed = 1 + sum(lobes[k] * np.cos((k + 2) * angle + phases[k]) for k in range(3))
        ellipse = np.sqrt((np.cos(angle - tilt) / stretch) ** 2 + (np.sin(angle - tilt) * stretch) ** 2)
        reach: np.ndarray = radius * lobed / ellipse
        return reach

    half = int(radius * 1.6) + 3
    top, left = max(int(y) - half, 0), max(int(x) - half, 0)
    window = depth[top : int(y) + half + 1, left : int(x) + half + 1]
    dy = (np.arange(window.shape[0]) + (top - y))[:, None]
    dx = np.arange(window.shape[1]) + (left - x)
    np.maximum(window, outline(np.arctan2(dy, dx)) - np.hypot(dy, dx), out=window)

    n = int(2 * np.pi * (radius - 2.5) / 4.5)
    angle = (np.arange(n) + rng.uniform(-0.2, 0.2, n)) * (2 * np.pi / n)
    reach = outline(angle) - rng.uniform(2.2, 3.4, n)
    return np.stack([y + reach * np.sin(angle), x + reach * np.cos(angle), angle]).astype(np.float32)
