"""Diversity against a double loop and its closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_gym.metrics import diversity


def normal(n: int, seed: int, d: int = 6) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + 1


def mean_pair_distance(x: torch.Tensor) -> float:
    units = [(v / v.norm()).numpy() for v in x.double()]
    return float(np.mean([((a - b) ** 2).sum() for i, a in enumerate(units) for b in units[:i]]))


def test_equals_the_double_loop_over_all_pairs():
    real, fake = normal(15, 0), 0.5 * normal(12, 1) + 1
    expected = mean_pair_distance(fake) / mean_pair_distance(real)
    assert diversity(real, fake).value == pytest.approx(expected, rel=1e-9)


def test_the_same_images_have_diversity_one_and_one_image_has_none():
    real = normal(40, 0)
    assert diversity(real, real).value == pytest.approx(1.0)
    assert diversity(real, real[:1].repeat(40, 1)).value == pytest.approx(0.0, abs=1e-9)


def test_a_generator_that_repeats_k_images_evenly_keeps_all_but_one_kth():
    # Of n images that are k orthogonal ones repeated, a pair differs with chance n (1 - 1/k) / (n - 1).
    n, k = 40, 4
    real, fake = torch.eye(n), torch.eye(n)[torch.arange(n) % k]
    assert diversity(real, fake).value == pytest.approx(n * (1 - 1 / k) / (n - 1))


def test_lengths_of_features_do_not_count():
    real, fake = normal(30, 0), normal(30, 1)
    scaled = fake * torch.linspace(0.1, 9, 30)[:, None]
    assert diversity(real, scaled).value == pytest.approx(diversity(real, fake).value)


def test_interval_has_the_width_of_repeated_sampling():
    figures = [diversity(normal(100, 2 * s), normal(100, 2 * s + 1), seed=s) for s in range(60)]
    spread = np.std([f.value for f in figures])
    claimed = np.mean([(f.high - f.low) / 2 / 1.96 for f in figures])
    assert 0.7 < claimed / spread < 1.4


def test_refused_where_it_would_mean_nothing():
    assert "at least 10" in diversity(normal(9, 0), normal(50, 1)).reason
    assert "all alike" in diversity(normal(1, 0).repeat(20, 1), normal(20, 1)).reason
