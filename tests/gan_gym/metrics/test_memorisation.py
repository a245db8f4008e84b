"""Memorisation flags what was copied and clears what was not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_gym.metrics import memorisation


def normal(n: int, seed: int, d: int = 8) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_unseen_samples_of_the_same_distribution_are_healthy():
    results = [
        memorisation(normal(300, 3 * s), normal(200, 3 * s + 1), normal(200, 3 * s + 2)) for s in range(10)
    ]
    assert np.mean([r.below_5.value for r in results]) == pytest.approx(0.05, abs=0.02)
    assert all(r.copies.value == 0 for r in results)
    assert sum(r.below_5.low <= 0.05 <= r.below_5.high for r in results) >= 8


def test_copies_of_the_training_set_are_flagged_with_their_pairs():
    train, held_out, fake = normal(300, 0), normal(200, 1), normal(100, 2)
    fake[:40] = train[100:140]
    result = memorisation(train, held_out, fake, n_pairs=40)
    assert result.copies.value == pytest.approx(0.4)
    assert result.below_5.low > 0.05
    assert result.below_1.value >= 0.4
    assert (result.ratios == 0).all()
    assert {(int(f), int(t)) for f, t in result.pairs} == {(i, 100 + i) for i in range(40)}


def test_short_features_attract_nothing():
    """A training image near the origin is no nearer to unlike images than others are."""
    train, held_out, fake = normal(300, 0), normal(200, 1), normal(200, 2)
    expected = memorisation(train, held_out, fake, n_pairs=200)
    train[0] *= 0.01
    fake[::2] *= 0.1
    result = memorisation(train, held_out, fake, n_pairs=200)
    assert result.below_5 == expected.below_5
    assert result.pairs.equal(expected.pairs)


def test_figures_equal_a_loop():
    train, held_out, fake = normal(30, 0), normal(50, 1), normal(45, 2) + normal(1, 3)
    units = [x / x.norm(dim=1, keepdim=True) for x in (train, held_out, fake)]
    expected, distance = ([min(float((x - t).norm()) for t in units[0]) for x in side] for side in units[1:])
    result = memorisation(train, held_out, fake, n_pairs=3)
    assert result.below_5.value == pytest.approx(np.mean(distance < np.quantile(expected, 0.05)))
    assert result.pairs[:, 0].tolist() == np.argsort(distance)[:3].tolist()


def test_held_out_images_out_of_the_training_set_are_no_yardstick():
    train = normal(200, 0)
    result = memorisation(train, train[:100], normal(100, 2))
    assert result.below_5.value is None
    assert "no yardstick" in result.below_5.reason


def test_same_seed_same_interval_and_few_images_give_a_reason():
    arguments = normal(100, 0), normal(60, 1), normal(60, 2)
    assert memorisation(*arguments, seed=1).below_5 == memorisation(*arguments, seed=1).below_5
    assert memorisation(*arguments, seed=1).below_5 != memorisation(*arguments, seed=2).below_5
    few = memorisation(arguments[0], arguments[1][:39], arguments[2])
    assert few.copies.value is None
    assert "at least 40" in few.copies.reason
