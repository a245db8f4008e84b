"""Room for patches in memory, as long as there is enough of it."""

from __future__ import annotations

import math

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
    check_room(n_patches, image_size, "lower --image_size, or give fewer images")
    return np.empty((n_patches, 3, *image_size), np.uint8)


def check_room(n_patches: int, image_size: tuple[int, int], remedy: str) -> None:
    """Raise `DataError` where so many patches take more than `MEMORY_LIMIT`."""
    n_bytes = n_patches * 3 * image_size[0] * image_size[1]
    if n_bytes > MEMORY_LIMIT:
        raise DataError(
            f"{n_patches} patches of {size_text(image_size)} take {math.ceil(n_bytes / 2**30)} GiB, more "
            f"than the limit of {MEMORY_LIMIT / 2**30:.0f} GiB; {remedy}"
        )
