"""The tissue classes and who paints them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.histology.canvas import Canvas
from gan_gym.data.histology.cellular import paint_lymphocytes, paint_mucin, paint_necrosis, paint_tumor
from gan_gym.data.histology.connective import paint_fat, paint_muscle, paint_stroma
from gan_gym.data.histology.glands import paint_gland
from gan_gym.data.histology.noise import Array

Painter = Callable[[Canvas, int, NDArray[np.bool_], Array], None]
"""Draws one tissue: takes the canvas, the tissue's index in the class map, the mask `(H, H)` of the pixels
where it shows, and its share at each of these, in (0, 1], below 1 only where two tissues meet."""

PAINTERS: dict[str, Painter] = {
    "stroma": paint_stroma,
    "muscle": paint_muscle,
    "fat": paint_fat,
    "lymphocytes": paint_lymphocytes,
    "tumor": paint_tumor,
    "necrosis": paint_necrosis,
    "mucin": paint_mucin,
    "gland": paint_gland,
}
"""The painter of each class, in the order of painting: later ones may cover earlier ones."""
