"""Nuclei that were drawn are found, with their sizes; where there are none, none are found."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from scipy import ndimage

from gan_gym.metrics import nuclei
from gan_gym.metrics.nuclei import MIN_AREA, find_nuclei, haematoxylin, otsu
from tests.gan_gym.metrics.test_stain import mixed

SIZE, RADIUS = 32, 3.5


def drawn(counts: list[int], radius: float = RADIUS, seed: int = 0) -> torch.Tensor:
    """Patches of pale noisy stroma with so many round dark nuclei, none of which touch."""
    rng = np.random.default_rng(seed)
    places = [(y, x) for y in (5, 16, 27) for x in (5, 16, 27)]
    rows, columns = np.mgrid[:SIZE, :SIZE]
    density = rng.normal(0.15, 0.02, size=(len(counts), SIZE, SIZE))
    for number, (patch, count) in enumerate(zip(density, counts, strict=True)):
        for i in rng.permutation(9)[:count]:
            y, x = places[i]
            patch[(rows - y) ** 2 + (columns - x) ** 2 <= (radius + 0.5 * (number % 4 > 2)) ** 2] += 0.5
    return mixed(density.clip(0), np.full_like(density, 0.15))


def disc(radius: float = RADIUS) -> int:
    rows, columns = np.mgrid[-9:10, -9:10]
    return int((rows**2 + columns**2 <= radius**2).sum())


COUNTS = [i % 10 for i in range(60)]


def test_drawn_nuclei_are_counted_and_measured():
    density = haematoxylin(drawn(COUNTS))
    found = find_nuclei(density, float(otsu(density.reshape(1, -1))[0]))
    assert found.count.tolist() == COUNTS
    assert np.isnan(found.area[found.count == 0]).all()
    assert np.nanmean(found.area) == pytest.approx(disc(), rel=0.2)


def test_stacked_patches_are_segmented_as_single_ones():
    density = haematoxylin(drawn(COUNTS[:10]))
    together = find_nuclei(density, 0.4)
    alone = [find_nuclei(patch[None], 0.4) for patch in density]
    np.testing.assert_array_equal(together.count, [found.count[0] for found in alone])
    np.testing.assert_array_equal(together.area, [found.area[0] for found in alone])


def test_otsu_equals_the_search_over_all_thresholds():
    values = haematoxylin(drawn(COUNTS[:5])).reshape(5, -1)
    for row, threshold in zip(values, otsu(values), strict=True):
        edges = np.linspace(row.min(), row.max(), 129)[1:-1]
        within = [
            row[row < e].var() * (row < e).mean() + row[row >= e].var() * (row >= e).mean() for e in edges
        ]
        chosen = row[row < threshold].var() * (row < threshold).mean()
        chosen += row[row >= threshold].var() * (row >= threshold).mean()
        assert chosen <= min(within) * 1.01


def test_patches_are_measured_a_few_at_a_time(monkeypatch):
    module = importlib.import_module("gan_gym.metrics.nuclei")
    measured, at_once = module.haematoxylin, []

    def measure(images):
        at_once.append(len(images))
        return measured(images)

    real, fake = drawn([i % 10 for i in range(150)]), drawn(COUNTS, seed=1)
    monkeypatch.setattr(module, "haematoxylin", measure)
    together = nuclei(real, fake)
    assert max(at_once) <= 64
    monkeypatch.setattr(module, "_BATCH", 150)
    assert nuclei(real, fake) == together
    assert max(at_once) == 150


def test_more_and_larger_nuclei_move_the_figures_apart():
    fewer = [count // 2 for count in COUNTS]
    same, half, large = (
        nuclei(drawn(COUNTS), fake)
        for fake in (drawn(COUNTS, seed=1), drawn(fewer, seed=1), drawn(COUNTS, radius=4.2, seed=1))
    )
    assert same["nuclei_count"].value < 0.1
    expected = (np.mean(COUNTS) - np.mean(fewer)) / np.std(COUNTS)
    assert half["nuclei_count"].value == pytest.approx(expected, rel=0.1)
    assert large["nuclei_count"].value < 0.1
    shown = large["nuclei_area"].to_json()
    assert shown["mean_fake"] / shown["mean_real"] == pytest.approx(disc(4.2) / disc(), rel=0.15)
    assert shown["unit"] == "px"


def test_patches_without_nuclei_have_none_but_a_count():
    empty = nuclei(drawn(COUNTS), drawn([0] * 60, seed=2))
    assert empty["nuclei_count"].to_json()["mean_fake"] == 0
    assert "at least 20 such patches a side; got 0" in empty["nuclei_area"].reason


def test_specks_smaller_than_a_nucleus_are_no_nuclei():
    density = np.full((1, 16, 16), 0.1, dtype=np.float32)
    density[0, :2, :4] = 0.9
    assert find_nuclei(density, 0.5).count[0] == 0
    density[0, :3, :3] = 0.9
    assert find_nuclei(density, 0.5).area[0] >= MIN_AREA
    assert ndimage.label(density[0] > 0.5)[1] == find_nuclei(density, 0.5).count[0]
