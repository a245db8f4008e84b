"""Patches cut from regions: images so large that they hold many patches."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gan_gym.data.decoding import RESAMPLING, pixels

REGION_SIDE = 512
"""Shortest side in pixels of a region."""
REGION_RATIO = 4
"""A region's sides are at least this many times the patch's."""
MIN_SATURATION = 0.05
"""Saturation (0 to 1, HSV) above which a pixel is tissue.

Chosen on 60 osteosarcoma regions (TCIA, 10x), of whose 3,840 patches of 128 px it keeps 3,026. Otsu's
threshold parts pink from purple where a region has no background, and keeps 1,806.
"""
MIN_VALUE = 0.12
"""Brightness (0 to 1, HSV) below which a pixel is no tissue but black padding."""
MIN_TISSUE = 0.5
"""A patch is kept if more than this share of it is tissue."""

_REDUCE = 4  # the mask is taken at a quarter of the resolution: faster, and deaf to single noisy pixels


def is_region(size: tuple[int, int], patch_size: tuple[int, int]) -> bool:
    """Say whether patches are cut from an image of this height and width, not the image resized to one."""
    return min(size) >= REGION_SIDE and all(
        s >= REGION_RATIO * p for s, p in zip(size, patch_size, strict=True)
    )


def cut_patches(region: Image.Image, patch_size: tuple[int, int]) -> np.ndarray:
    """Cut the patches that hold tissue on a grid without overlap, row by row from the top left.

    Args:
        region: RGB, at least as large as a patch.
        patch_size: height and width, multiples of 4.

    Returns:
        `(P, 3, H, W)` uint8; `P` is 0 where there is no tissue.
    """
    height, width = patch_size
    rows, columns = region.height // height, region.width // width
    region = region.crop((0, 0, columns * width, rows * height))
    cells = tissue_mask(region.reduce(_REDUCE)).reshape(rows, height // _REDUCE, columns, width // _REDUCE)
    row, column = np.nonzero(cells.mean((1, 3)) > MIN_TISSUE)
    grid = pixels(region).reshape(3, rows, height, columns, width)
    return np.ascontiguousarray(grid[:, row, :, column, :])


def is_tissue(patch: Image.Image) -> bool:
    """Say whether more than half of an RGB patch, its sides multiples of 4, is tissue."""
    return bool(tissue_mask(patch.reduce(_REDUCE)).mean() > MIN_TISSUE)


def tissue_mask(region: Image.Image) -> np.ndarray:
    """Say which pixels of an RGB image are tissue by their colour: `(H, W)` bool."""
    colours = np.asarray(region)
    high, low = colours.max(2), colours.min(2)
    return np.asarray((high - low > MIN_SATURATION * high) & (high > MIN_VALUE * 255))


def overview(region: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resize a whole region to height and width `size`, whatever its own shape: `(3, H, W)` uint8."""
    return pixels(region.resize((size[1], size[0]), RESAMPLING))
