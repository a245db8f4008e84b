"""FID against its closed form for Gaussians of known mean and covariance."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from gan_gym.metrics import fid

N = 2_100


def sample(mean: np.ndarray, cov: np.ndarray, seed: int, n: int = N) -> torch.Tensor:
    """Draw features whose empirical mean and covariance are exactly the given ones."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(0)
    x = np.linalg.solve(np.linalg.cholesky(np.cov(x.T)), x.T).T
    return torch.from_numpy(x @ scipy.linalg.sqrtm(cov).real + mean)


def covariance(d: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(d, d))
    return a @ a.T / d + 0.1 * np.eye(d)


def test_equals_the_closed_form_for_diagonal_covariances():
    mean, a, b = np.array([1.0, -2.0, 0.5]), np.array([1.0, 4.0, 9.0]), np.array([2.0, 1.0, 16.0])
    expected = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    figure = fid(sample(mean, np.diag(a), 0), sample(np.zeros(3), np.diag(b), 1))
    assert figure.value == pytest.approx(expected, rel=1e-8)


def test_equals_the_matrix_square_root_form_and_is_symmetric():
    a, b, mean = covariance(6, 0), covariance(6, 1), np.linspace(-1, 1, 6)
    expected = (mean**2).sum() + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    x, y = sample(mean, a, 2), sample(np.zeros(6), b, 3)
    assert fid(x, y).value == pytest.approx(expected, rel=1e-8)
    assert fid(y, x).value == pytest.approx(expected, rel=1e-8)
    assert fid(y, x).high == pytest.approx(fid(x, y).high, rel=1e-6)


def test_interval_has_the_width_of_repeated_sampling():
    def draw(s: int) -> torch.Tensor:
        return torch.randn(N, 4, generator=torch.Generator().manual_seed(s), dtype=torch.float64)

    scale, shift = torch.tensor([1.0, 0.5, 2.0, 1.0]), torch.tensor([0.5, 0.0, 0.0, 0.2])
    figures = [fid(draw(2 * s), draw(2 * s + 1) * scale + shift) for s in range(150)]
    spread = np.std([f.value for f in figures])
    claimed = np.mean([(f.high - f.low) / 2 / 1.96 for f in figures])
    assert 0.8 < claimed / spread < 1.25


def test_identical_samples_are_at_distance_zero():
    x = sample(np.zeros(5), covariance(5, 0), 0)
    assert fid(x, x).value == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("collapsed", ["constant", "two points"])
def test_a_collapsed_side_stays_real_and_finite(collapsed: str):
    cov = covariance(5, 0)
    x = sample(np.zeros(5), cov, 0)
    y = torch.zeros_like(x)
    if collapsed == "two points":
        y[::2, 0] = 1.0
    figure = fid(x, y)
    assert figure.value > 0
    assert np.isfinite([figure.low, figure.high]).all()
    if collapsed == "constant":
        assert figure.value == pytest.approx(np.trace(cov), rel=1e-8)


@pytest.mark.parametrize(
    ("n", "d", "words"), [(2_047, 8, "at least 2,048 images"), (2_048, 2_048, "more images than features")]
)
def test_refused_where_it_would_mean_nothing(n: int, d: int, words: str):
    figure = fid(torch.zeros(4_000, d), torch.zeros(n, d))
    assert figure.value is None
    assert words in figure.reason
