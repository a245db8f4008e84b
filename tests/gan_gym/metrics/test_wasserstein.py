"""The distance of two distributions of one number against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gan_gym.metrics.wasserstein import wasserstein


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def test_a_shift_counts_in_standard_deviations_of_the_real_side_whatever_the_unit():
    real = normal(200, 0)
    shifted = real + 0.7 * real.std()
    assert wasserstein("x", real, shifted, unit="px").value == pytest.approx(0.7)
    assert wasserstein("x", 1000 * real, 1000 * shifted, unit="px").value == pytest.approx(0.7)
    assert wasserstein("x", real, shifted[::-1], unit="px").value == pytest.approx(0.7)


def test_the_means_of_both_sides_stand_beside_it():
    figure = wasserstein("x", np.arange(30.0), np.arange(30.0) + 2, unit="px").to_json()
    assert (figure["mean_real"], figure["mean_fake"], figure["unit"]) == (14.5, 16.5, "px")


def test_samples_of_one_distribution_are_as_far_apart_as_the_docstring_says():
    n = 200
    found = np.mean(
        [wasserstein("x", normal(n, 2 * s), normal(n, 2 * s + 1), unit="").value for s in range(40)]
    )
    assert found == pytest.approx(1.8 / np.sqrt(n), rel=0.2)


def test_interval_has_the_width_of_repeated_sampling():
    figures = [
        wasserstein("x", normal(100, 2 * s), normal(100, 2 * s + 1) + 1, unit="", seed=s) for s in range(60)
    ]
    spread = np.std([f.value for f in figures])
    claimed = np.mean([(f.high - f.low) / 2 / 1.96 for f in figures])
    assert 0.7 < claimed / spread < 1.4


def test_refused_where_it_would_mean_nothing():
    assert "at least 20" in wasserstein("size", normal(19, 0), normal(50, 1), unit="").reason
    assert (
        "all real patches have the same size"
        in wasserstein("size", np.ones(30), normal(30, 0), unit="").reason
    )
