from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gan_gym.data.slide_places as slide_places
from gan_gym.data.slide_places import even_shares, tissue_places


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_shares_are_as_even_as_can_be(counts: list[int], total: int) -> None:
    shares = even_shares(counts, total)
    assert sum(shares) == min(total, sum(counts))
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    largest = max(shares, default=0)
    for share, count in zip(shares, counts, strict=True):
        assert share == count or share >= largest - 1


def test_cells_with_more_than_half_tissue_are_places() -> None:
    """Cells of 30 x 20 full pixels on a mask of half the resolution, compared cell by cell."""
    rng = np.random.default_rng(0)
    coarse = rng.random((12, 15)) < 0.5
    mask = coarse.repeat(5, 0).repeat(4, 1)  # (60, 60): the slide is (120, 120)
    grid = tissue_places(mask, (120, 120), (30.0, 20.0))
    full = mask.repeat(2, 0).repeat(2, 1)
    expected = {
        (row * 30.0, column * 20.0)
        for row in range(4)
        for column in range(6)
        if full[row * 30 : row * 30 + 30, column * 20 : column * 20 + 20].mean() > 0.5
    }
    places = grid.draw(1000, np.random.default_rng(0))
    assert {tuple(place) for place in places.tolist()} == expected
    assert len(grid) == len(places) == len(expected)


@given(st.floats(3.1, 60), st.floats(3.1, 60), st.integers(0, 2**31))
def test_patches_lie_on_tissue_inside_the_slide_and_apart(height: float, width: float, seed: int) -> None:
    mask = np.zeros((50, 40), bool)
    mask[10:40, 5:35] = True
    grid = tissue_places(mask, (500, 400), (height, width))
    places = grid.draw(10**6, np.random.default_rng(seed))
    assert (places >= 0).all()
    assert (places[:, 0] + height <= 500 + 1e-6).all()
    assert (places[:, 1] + width <= 400 + 1e-6).all()
    centres = (places + np.array([height, width]) / 2) / 10
    assert mask[tuple(centres.astype(int).T)].mean() > 0.9
    cells = np.round(places / [height, width]).astype(int)
    assert len(np.unique(cells, axis=0)) == len(places)


def test_a_grid_finer_than_memory_allows_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slide_places, "MAX_CELLS", 100)
    grid = tissue_places(np.ones((10, 10), bool), (1000, 1000), (8.0, 8.0))
    assert 50 < len(grid) <= 100
    drawn = [grid.draw(1000, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (np.sort(drawn[0], axis=0) != np.sort(drawn[2], axis=0)).any()
    assert len(np.unique(drawn[0] // 104, axis=0)) == len(grid)  # one in each block of 13 cells
    assert (drawn[0] % 8 == 0).all()


def test_a_slide_smaller_than_a_patch_has_no_place() -> None:
    assert len(tissue_places(np.ones((10, 10), bool), (100, 100), (101.0, 20.0))) == 0
