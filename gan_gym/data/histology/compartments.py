"""Where which tissue lies: compartments of a region as warped Voronoi cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.noise import Array, smooth_noise

_FADE = 5.0
"""Width in pixels of the border over which one tissue passes into the next."""


@dataclass(frozen=True)
class Compartments:
    """A map of classes with soft borders; all fields are `(H, H)`."""

    labels: NDArray[np.uint8]
    """The class of each pixel."""
    rivals: NDArray[np.uint8]
    """The class of the nearest other compartment."""
    margin: Array
    """How much nearer the own compartment's centre is than the rival's, in pixels."""
    septum: Array
    """How much of each pixel is a strand of connective tissue between two compartments, in [0, 1]."""
    seam: int
    """The class of the septa."""

    def share(self, label: int) -> Array:
        """Return how much of each pixel is of class `label`: 1 inside, fading over some pixels at borders."""
        own = np.minimum(np.float32(0.5) + self.margin * np.float32(1 / _FADE), 1)
        share: Array = (self.labels == label) * own + (self.rivals == label) * (1 - own)
        share *= 1 - self.septum
        return share + self.septum if label == self.seam else share


def draw_compartments(
    rng: np.random.Generator, size: int, width: float, *, main: int, glass: int, seam: int
) -> Compartments:
    """Divide `(size, size)` pixels into compartments about `width` pixels wide.

    A quarter of them is of class `main`, the others take turns; bare glass lies at the region's edge.

    Args:
        rng: private generator.
        size: height and width in pixels.
        width: mean width of a compartment in pixels.
        main: the dominant class.
        glass: the class of bare glass, at the region's edge only; the tissues are 0 to `glass - 1`.
        seam: the class of the thin septa between compartments.
    """
    n = max(round(size / width), 2)
    step = size / n
    others = [c for c in range(glass) if c != main]
    n_main = max(n * n // 4, 1)
    turns = np.concatenate([rng.permutation(others) for _ in range(n * n // len(others) + 1)])
    tissue = np.concatenate([np.full(n_main, main), turns[: n * n - n_main]])
    tissue = rng.permutation(tissue).reshape(n, n)
    for _ in range(n // 4):
        along, edge = rng.integers(n), int(rng.integers(4))
        np.rot90(tissue, edge)[0, along] = glass
    site = (np.indices((n, n)) + rng.uniform(0.12, 0.88, (2, n, n))).astype(np.float32) * np.float32(step)

    axis = np.arange(size, dtype=np.float32)
    far, near = np.float32(step / 6), np.float32(2.0)
    y = axis[:, None] + far * smooth_noise(rng, size, step / 2.5) + near * smooth_noise(rng, size, 8.0)
    x = axis + far * smooth_noise(rng, size, step / 2.5) + near * smooth_noise(rng, size, 8.0)
    first = np.full((size, size), np.inf, np.float32)
    second = first.copy()
    labels, rivals = np.zeros((2, size, size), np.uint8)
    for label in np.unique(tissue):
        squares = ((y - cy) ** 2 + (x - cx) ** 2 for cy, cx in site[:, tissue == label].T)
        square = next(squares)
        for other in squares:
            np.minimum(square, other, out=square)
        nearest, runner_up = square < first, square < second
        rivals = np.where(nearest, labels, np.where(runner_up, np.uint8(label), rivals))
        np.minimum(second, np.maximum(first, square), out=second)
        labels[nearest] = label
        np.minimum(first, square, out=first)
    margin = np.sqrt(second) - np.sqrt(first)
    reach = np.float32(2.0) + np.float32(2.5) * smooth_noise(rng, size, step / 3)
    septum = np.clip((reach - margin) / np.float32(2.5), 0, 1) * ((labels != glass) & (rivals != glass))
    return Compartments(labels, rivals, margin, septum, seam)
