"""Room for patches in memory, as long as there is enough of it."""

from __future__ import annotations

import numpy as np

from gan_gym.data.report import DataError
from gan_gym.data.sizes import size_text

MEMORY_LIMIT = 16 * 2**30
"""Most bytes that patches may take, and that an array in an npz file may claim."""


def room_for(n_patches: int, image_size: tuple[int, int]) -> np.ndarray:
    """Allocate `(n_patches, 3, H, W)` uint8 without filling it.

    Raises:
        DataError: if that takes more than `MEMORY_LIMIT`.
    """
    shape = (n_patches, 3, *image_size)
    n_bytes = n_patches * 3 * image_size[0] * image_size[1]
    if n_bytes > MEMORY_LIMIT:
        raise DataError(
            f"{n_patches} patches of {size_text(image_size)} take {n_bytes / 2**30:.0f} GiB, more than "
            f"the limit of {MEMORY_LIMIT / 2**30:.0f} GiB; lower --image_size, or give fewer images"
        )
    return np.empty(shape, np.uint8)
