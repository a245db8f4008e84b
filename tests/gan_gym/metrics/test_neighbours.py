"""Precision, recall, density and coverage against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_gym.metrics import density_coverage, precision_recall
from gan_gym.metrics.neighbours import _figures


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def brute_force(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    def radius(points, i):
        others = [np.linalg.norm(points[i] - points[j]) for j in range(len(points)) if j != i]
        return sorted(others)[k - 1]

    r = [radius(real, i) for i in range(len(real))]
    f = [radius(fake, i) for i in range(len(fake))]
    d = [[np.linalg.norm(a - b) for b in fake] for a in real]
    n, m = range(len(real)), range(len(fake))
    return {
        "precision": np.mean([any(d[i][j] < r[i] for i in n) for j in m]),
        "recall": np.mean([any(d[i][j] < f[j] for j in m) for i in n]),
        "density": np.mean([sum(d[i][j] < r[i] for i in n) / k for j in m]),
        "coverage": np.mean([min(d[i]) < r[i] for i in n]),
    }


@pytest.mark.parametrize("dimension", [2, 9])
def test_equal_brute_force(dimension: int):
    real, fake = normal(60, dimension, 0), 0.7 * normal(45, dimension, 1) + 0.4
    figures = {**precision_recall(real, fake), **density_coverage(real, fake)}
    three = brute_force(real.numpy(), fake.numpy(), 3)
    five = brute_force(real.numpy(), fake.numpy(), 5)
    expected = {key: (three if key in ("precision", "recall") else five)[key] for key in three}
    assert {key: m.value for key, m in figures.items()} == pytest.approx(expected)


def test_blocks_of_rows_do_not_change_the_figures():
    real, fake = normal(1_200, 3, 0).double(), normal(1_100, 3, 1).double() * 0.8
    d, radii = torch.cdist(real, fake), torch.cdist(real, real).sort(1).values[:, 5]
    figures = density_coverage(real, fake)
    assert figures["coverage"].value == pytest.approx(float((d.min(1).values < radii).double().mean()))
    density = float((d < radii[:, None]).double().sum(0).mean() / 5)
    assert figures["density"].value == pytest.approx(density)


def test_one_distribution_gives_the_sanity_figures_of_density_and_coverage():
    # Naeem et al. 2020, section 3: for equal distributions E[density] = 1 and
    # E[coverage] = 1 - (N-1)...(N-k) / ((2N-1)...(2N-k)), whatever the dimension.
    n, k = 400, 5
    steps = np.arange(1, k + 1)
    coverage = 1 - np.prod((n - steps) / (2 * n - steps))
    figures = [density_coverage(normal(n, 4, 2 * s), normal(n, 4, 2 * s + 1)) for s in range(10)]
    assert np.mean([f["density"].value for f in figures]) == pytest.approx(1.0, abs=0.03)
    assert np.mean([f["coverage"].value for f in figures]) == pytest.approx(coverage, abs=0.01)
    assert sum(f["coverage"].low <= coverage <= f["coverage"].high for f in figures) >= 7


def test_a_generator_that_repeats_few_images_loses_recall_and_coverage_but_not_precision():
    real = normal(300, 6, 0)
    healthy = normal(300, 6, 1)
    collapsed = healthy[torch.arange(300) % 5] + 0.01 * normal(300, 6, 2)
    before = {**precision_recall(real, healthy), **density_coverage(real, healthy)}
    after = {**precision_recall(real, collapsed), **density_coverage(real, collapsed)}
    for key in ("recall", "coverage"):
        assert after[key].high < before[key].low
    assert after["precision"].value > 0.5


def test_constant_fakes_have_no_recall():
    real = normal(200, 6, 0)
    figures = precision_recall(real, real[:1].repeat(200, 1))
    assert figures["recall"].value == 0
    assert figures["precision"].value == 1


def test_same_seed_same_interval():
    real, fake = normal(60, 3, 0), normal(60, 3, 1)
    assert density_coverage(real, fake, seed=3) == density_coverage(real, fake, seed=3)
    assert precision_recall(real, fake, seed=3) != precision_recall(real, fake, seed=4)


def test_too_few_images_give_a_reason():
    for figures in (precision_recall, density_coverage):
        for metric in figures(normal(23, 3, 0), normal(100, 3, 1)).values():
            assert metric.value is None
            assert "at least 24 images" in metric.reason


def test_the_published_sanity_case_of_prdc():
    # https://github.com/clovaai/generative-evaluation-prdc: 10,000 normal samples a side in 1,000 dimensions,
    # k = 5, give precision 0.4772 and density 1.0555: means over the fakes, of which a tenth is enough here.
    real, fake = normal(10_000, 1_000, 0), normal(1_000, 1_000, 1)
    precision, density = _figures(real, fake, ("precision", "density"), 5)
    assert precision == pytest.approx(0.4772, abs=0.05)
    assert density == pytest.approx(1.0555, abs=0.15)
