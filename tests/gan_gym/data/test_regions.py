from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gan_gym.data.regions import cut_patches, is_region, overview, tissue_mask


@pytest.mark.parametrize(
    ("size", "patch", "expected"),
    [
        ((96, 96), (32, 32), False),
        ((96, 96), (8, 8), False),
        ((511, 2000), (32, 32), False),
        ((512, 512), (64, 64), True),
        ((1024, 1024), (256, 256), True),
        ((1023, 1024), (256, 256), False),
        ((1024, 1024), (512, 128), False),
    ],
)
def test_what_counts_as_a_region(size: tuple[int, int], patch: tuple[int, int], expected: bool) -> None:
    assert is_region(size, patch) is expected


def test_tissue_is_coloured() -> None:
    pixels = [[(200, 120, 180), (90, 60, 140), (255, 255, 255), (243, 240, 246), (0, 0, 0), (9, 0, 0)]]
    mask = tissue_mask(Image.fromarray(np.array(pixels, np.uint8)))
    assert mask.tolist() == [[True, True, False, False, False, False]]


def test_patches_with_tissue_are_cut_on_the_grid_in_order() -> None:
    region = np.full((100, 130, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    tissue = rng.integers(100, 120, (100, 130, 3), dtype=np.uint8) + np.array([90, 0, 60], np.uint8)
    places = [(0, 1), (1, 0), (2, 3)]
    for row, column in places:
        region[row * 32 : row * 32 + 32, column * 32 : column * 32 + 20] = tissue[:32, :20]
    region[32:64, 96:112] = tissue[:32, :16]  # exactly half is not more than half
    cut = cut_patches(Image.fromarray(region), (32, 32))
    assert cut.shape == (3, 3, 32, 32)
    for patch, (row, column) in zip(cut, places, strict=True):
        expected = region[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
        np.testing.assert_array_equal(patch, expected.transpose(2, 0, 1))
    assert cut_patches(Image.fromarray(region), (24, 40)).shape[1:] == (3, 24, 40)
    assert len(cut_patches(Image.new("RGB", (64, 64), "white"), (32, 32))) == 0


def test_the_overview_shows_the_whole_region() -> None:
    region = Image.new("RGB", (200, 100), (10, 20, 30))
    region.paste((200, 20, 30), (100, 0, 200, 100))
    small = overview(region, (32, 32))
    assert small.shape == (3, 32, 32)
    assert abs(int(small[0].mean()) - 105) <= 1
