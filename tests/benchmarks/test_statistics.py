from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from benchmarks.statistics import (
    interval,
    iqm,
    mean,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    share_interval,
)

Z = 1.959964


def _normal(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=size)


def _width(triple: list[float]) -> float:
    return triple[2] - triple[1]


def test_iqm_is_the_mean_of_the_middle_half() -> None:
    values = np.array([100.0, -100.0, 1.0, 2.0, 3.0, 4.0, 1000.0, -1000.0])
    assert iqm(values) == pytest.approx(np.mean([1.0, 2.0, 3.0, 4.0]))
    assert iqm(np.stack([values, values + 1])) == pytest.approx([2.5, 3.5])


def test_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    values = 3 + _normal(0, 400)
    value, low, high = interval(values[None], mean)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * Z * values.std() / 20, rel=0.1)
    assert low < value < high


def test_trainings_that_agree_say_no_more_than_one() -> None:
    """What is hard for one training is hard for the others: five on 100 instances are no 500 runs."""
    one = _normal(0, 1, 100)
    five = np.repeat(one, 5, axis=0)
    assert _width(interval(five, mean)) == pytest.approx(_width(interval(one, mean)), rel=0.05)
    against = _normal(1, 1, 100)
    widths = [_width(probability_of_improvement(runs, against)) for runs in (one, five)]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    for runs in (one, five):
        _, low, high = performance_profile(runs, np.array([0.0]))[:, 0]
        assert high - low == pytest.approx(2 * Z * 0.5 / 10, rel=0.1)


def test_an_interval_is_as_wide_as_trainings_and_instances_make_it() -> None:
    """For effects of trainings and of instances that add up the variance of the mean is the sum of two."""
    trainings, instances = _normal(2, 40), _normal(3, 100)
    _, low, high = interval(trainings[:, None] + instances, mean)
    expected = np.sqrt(trainings.var() / 40 + instances.var() / 100)
    assert high - low == pytest.approx(2 * Z * expected, rel=0.1)


@pytest.mark.parametrize("n_trainings", [2, 3, 5])
def test_intervals_over_few_trainings_hold_what_they_promise(n_trainings: int) -> None:
    """Resampling three trainings would hold the true mean in about 80 of 100 cases."""
    held, held_paired = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        runs = (
            rng.normal(size=(n_trainings, 1)) + rng.normal(size=(1, 40)) + rng.normal(size=(n_trainings, 40))
        )
        for triple, of in (
            (interval(runs, mean), held),
            (paired_difference(runs, runs[:1] * 0), held_paired),
        ):
            of.append(triple[1] <= 0 <= triple[2])
    assert np.mean(held) > 0.92
    assert np.mean(held_paired) > 0.92


def test_equal_seeds_give_equal_intervals() -> None:
    values = _normal(3, 1, 30)
    assert interval(values, iqm, seed=1) == interval(values, iqm, seed=1)
    assert interval(values, iqm, seed=1) != interval(values, iqm, seed=2)


@pytest.mark.parametrize("n", [5, 64])
def test_wilsons_interval_in_closed_form(n: int) -> None:
    edge = Z**2 / (n + Z**2)
    assert share_interval(0, n) == pytest.approx([0, 0, edge])
    assert share_interval(n, n) == pytest.approx([1, 1 - edge, 1])
    half = Z / 2 / np.sqrt(2 * n + Z**2)
    assert share_interval(n, 2 * n) == pytest.approx([0.5, 0.5 - half, 0.5 + half])


def test_wilsons_interval_holds_what_it_promises() -> None:
    n, p = 64, 0.02
    hits = np.random.default_rng(0).binomial(n, p, 2000)
    held = [low <= p <= high for _, low, high in (share_interval(int(k), n) for k in hits)]
    assert np.mean(held) > 0.93


def test_a_paired_difference_is_blind_to_what_instances_share() -> None:
    difficulty, gains = 10 * _normal(0, 100), 0.5 + _normal(1, 100)
    value, low, high = paired_difference((difficulty + gains)[None], difficulty[None])
    assert value == pytest.approx(gains.mean())
    assert high - low == pytest.approx(2 * Z * gains.std() / 10, rel=0.1)


def test_a_paired_difference_is_as_uncertain_as_the_few_trainings_behind_it() -> None:
    """Where trainings differ and instances do not, a hundred instances say no more than one."""
    ours = np.tile(_normal(2, 40)[:, None], (1, 100))
    _, low, high = paired_difference(ours, np.zeros((1, 100)))
    assert high - low == pytest.approx(2 * Z * ours[:, 0].std() / np.sqrt(40), rel=0.1)


def test_probability_of_improvement_is_mann_and_whitneys() -> None:
    ours, theirs = (np.round(values, 1) for values in (0.3 + _normal(0, 40), _normal(1, 30)))  # with ties
    value, _, _ = probability_of_improvement(ours.reshape(2, 20), theirs[None])
    assert value == pytest.approx(mannwhitneyu(ours, theirs).statistic / (40 * 30))
    assert probability_of_improvement(theirs[None], ours[None])[0] == pytest.approx(1 - value)


def test_probability_of_improvement_of_shifted_normals_in_closed_form() -> None:
    value, low, high = probability_of_improvement(0.5 + _normal(0, 1, 800), _normal(1, 1, 800))
    assert low < norm.cdf(0.5 / np.sqrt(2)) < high
    assert value == pytest.approx(norm.cdf(0.5 / np.sqrt(2)), abs=0.03)


def test_interval_of_the_probability_of_improvement_between_equals() -> None:
    """The variance of U over the pairs is (n + m + 1) / 12 n m."""
    n, m = 200, 300
    _, low, high = probability_of_improvement(_normal(0, 1, n), _normal(1, 1, m))
    assert high - low == pytest.approx(2 * Z * np.sqrt((n + m + 1) / (12 * n * m)), rel=0.1)


def test_performance_profile_in_closed_form() -> None:
    runs = np.arange(400) / 400
    share, low, high = performance_profile(runs[None], np.array([-1.0, 0.245, 0.745, 2.0]))
    assert share.tolist() == [1.0, 0.7525, 0.2525, 0.0]
    expected = 2 * Z * np.sqrt(share * (1 - share) / 400)
    assert high - low == pytest.approx(expected, rel=0.1)
