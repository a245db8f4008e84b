"""Image sizes: one way to read and to write them."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

STEP = 8
"""Sizes are multiples of this: the networks halve an image three times."""
MAX_SIDE = 4096
"""Largest side in pixels; beyond it one batch no longer fits into any memory we know."""


def parse_image_size(value: int | str | Sequence[int]) -> tuple[int, int]:
    """Read an image size.

    Args:
        value: one side of a square (`64`, `"64"`), or height and width (`(64, 48)`, `"64x48"`), in pixels.

    Returns:
        Height and width in pixels.

    Raises:
        ValueError: if the value is none of these, or a side is no multiple of 8 from 8 to 4096.

    Example:
        >>> parse_image_size("64x48")
        (64, 48)
    """
    sides = _sides(value)
    if sides is None or not 1 <= len(sides) <= 2:
        raise ValueError(
            f"image_size {value!r} is no size; give one side such as 64, or height and width such as 64x48"
        )
    for side in sides:
        if side % STEP or not STEP <= side <= MAX_SIDE:
            near = min(MAX_SIDE, max(STEP, round(side / STEP) * STEP))
            raise ValueError(
                f"image_size {value!r} is not allowed: sides are multiples of {STEP} from {STEP} to "
                f"{MAX_SIDE}; the nearest to {side} is {near}"
            )
    return sides[0], sides[-1]


def size_text(size: tuple[int, int]) -> str:
    """Write a size as `HxW`, the form that `parse_image_size` reads."""
    return f"{size[0]}x{size[1]}"


def resizing_notes(size: tuple[int, int], wanted: tuple[int, int]) -> list[str]:
    """Say what images of `size` lose when they are resized to the patch size `wanted`, one line each."""
    notes = []
    if min(size) < min(wanted):
        notes.append(f"images of {size_text(size)} are enlarged to {size_text(wanted)}: that adds no detail")
    if size[0] * wanted[1] != size[1] * wanted[0]:
        notes.append(
            f"images of {size_text(size)} lose their margins to fit the shape of {size_text(wanted)}"
        )
    return notes


def _sides(value: object) -> list[int] | None:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*[xX×]\s*([0-9]{1,9}))?\s*", value)
        return [int(side) for side in match.groups() if side] if match else None
    items: Sequence[object] = value if isinstance(value, Sequence) else [value]
    if any(isinstance(item, bool) for item in items):
        return None
    try:
        return [operator.index(item) for item in items]  # type: ignore[arg-type]
    except TypeError:
        return None
