from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import interval, iqm, mean


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    values = np.array([100.0, -100.0, 1.0, 2.0, 3.0, 4.0, 1000.0, -1000.0])
    assert iqm(values) == pytest.approx(np.mean([1.0, 2.0, 3.0, 4.0]))


def test_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 1.0, 400)
    value, low, high = interval([values], mean)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < value < high


def test_strata_are_resampled_apart() -> None:
    """Two constant strata of different value leave nothing to vary."""
    strata = [np.zeros(5), np.ones(5)]
    assert interval(strata, mean) == [0.5, 0.5, 0.5]


def test_equal_seeds_give_equal_intervals() -> None:
    values = [np.random.default_rng(3).normal(size=30)]
    assert interval(values, iqm, seed=1) == interval(values, iqm, seed=1)
    assert interval(values, iqm, seed=1) != interval(values, iqm, seed=2)
