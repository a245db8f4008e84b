"""Hematoxylin and eosin: from stain concentrations to colours, by the Beer-Lambert law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from gan_gym.data.histology.noise import Array

HEMATOXYLIN = (0.65, 0.70, 0.29)
"""Optical density of hematoxylin in R, G, B (Ruifrok & Johnston, Anal. Quant. Cytol. Histol. 23, 2001)."""
EOSIN = (0.07, 0.99, 0.11)
"""Optical density of eosin in R, G, B (same source)."""
SCANNED_HEMATOXYLIN = (0.5626, 0.7201, 0.4062)
"""Hematoxylin as whole-slide scanners see it (reference of Macenko et al., ISBI 2009)."""
SCANNED_EOSIN = (0.2159, 0.8012, 0.5581)
"""Eosin as whole-slide scanners see it (same source)."""


@dataclass(frozen=True)
class StainProfile:
    """How one slide was stained and scanned; slides differ in this as laboratories do."""

    vectors: Array
    """`(2, 3)`, optical density (natural logarithm) per unit of hematoxylin and of eosin in R, G, B."""
    white: Array
    """`(3,)`, the intensity of bare glass in R, G, B, in [0, 255]."""
    blur: float
    """Share of a pixel's stain that spreads to each of its neighbours along an axis: the scanner's focus."""
    noise: float
    """Standard deviation of the camera noise in intensity levels."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> StainProfile:
        """Draw a laboratory: between textbook and scanner colours, with its own strength, tint and light."""
        toward_scanner = rng.uniform(0.2, 1.0, (2, 1))
        textbook, scanned = np.array([HEMATOXYLIN, EOSIN]), np.array([SCANNED_HEMATOXYLIN, SCANNED_EOSIN])
        vectors = textbook + toward_scanner * (scanned - textbook) + rng.normal(0, 0.02, (2, 3))
        vectors = np.clip(vectors, 0.02, None)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        strength = np.exp(rng.normal(0, 0.2, (2, 1)))
        white = rng.uniform(236, 250) + rng.uniform(-3, 3, 3)
        return cls(
            vectors=(vectors * strength).astype(np.float32),
            white=white.astype(np.float32),
            blur=rng.uniform(0.03, 0.12),
            noise=rng.uniform(1, 2.5),
        )

    def develop(self, rng: np.random.Generator, hematoxylin: Array, eosin: Array) -> NDArray[np.uint8]:
        """Turn concentrations, each `(H, W)`, into the `(H, W, 3)` uint8 RGB image a scanner would take."""
        taps = (self.blur, 1 - 2 * self.blur, self.blur)
        hematoxylin, eosin = (
            convolve1d(convolve1d(layer, taps, 0, mode="nearest"), taps, 1, mode="nearest")
            for layer in (hematoxylin, eosin)
        )
        grain = rng.standard_normal(hematoxylin.shape, dtype=np.float32) * np.float32(self.noise)
        image = np.empty((*hematoxylin.shape, 3), np.uint8)
        for channel in range(3):
            density = hematoxylin * self.vectors[0, channel] + eosin * self.vectors[1, channel]
            light = np.exp(-density) * self.white[channel] + grain
            image[..., channel] = np.clip(light + np.float32(0.5), 0, 255)
        return image
