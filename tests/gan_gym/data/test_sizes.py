from __future__ import annotations

import numpy as np
import pytest

from gan_gym.data.sizes import parse_image_size, resizing_notes, size_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (64, (64, 64)),
        (np.int64(64), (64, 64)),
        ("64", (64, 64)),
        ("64x48", (64, 48)),
        (" 64 X 48 ", (64, 48)),
        ((64, 48), (64, 48)),
        ([8, 4096], (8, 4096)),
    ],
)
def test_sizes_are_read(value: object, expected: tuple[int, int]) -> None:
    assert parse_image_size(value) == expected  # type: ignore[arg-type]
    assert parse_image_size(size_text(expected)) == expected


@pytest.mark.parametrize(
    "value",
    [
        0,
        33,
        -64,
        4,
        8192,
        True,
        64.0,
        None,
        "",
        "64x",
        "64x48x3",
        "big",
        (64,) * 3,
        (),
        (64, "48"),
        (True, 64),
    ],
)
def test_other_sizes_are_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r"^image_size .* (is no size|is not allowed)") as error:
        parse_image_size(value)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_the_nearest_size_is_suggested() -> None:
    with pytest.raises(ValueError, match="the nearest to 33 is 32"):
        parse_image_size("64x33")


def test_resizing_says_what_is_lost() -> None:
    assert resizing_notes((96, 96), (64, 64)) == []
    assert "enlarged" in resizing_notes((50, 50), (64, 64))[0]
    assert "margins" in resizing_notes((96, 128), (64, 64))[0]
