from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.spatial import cKDTree

from gan_gym.data.histology.noise import cell_distances, jittered_grid, noise_table, ramp, smooth_noise


def test_smooth_noise_is_a_cubic_spline_of_normal_knots() -> None:
    size, scale = 40, 7.0
    field = smooth_noise(np.random.default_rng(3), size, scale)
    n = int((size - 1) / scale) + 4
    knots = np.random.default_rng(3).standard_normal((n, n), dtype=np.float32)
    spline = BSpline(np.arange(n + 4) - 3.0, np.eye(n), 3)(np.arange(size) / scale)
    np.testing.assert_allclose(field, spline @ knots.T @ spline.T / (151 / 315), atol=1e-4)


@pytest.mark.parametrize("scale", [1.6, 2.0, 7.0])
def test_smooth_noise_is_normalised(scale: float) -> None:
    field = smooth_noise(np.random.default_rng(0), 512, scale)
    assert field.dtype == np.float32
    assert abs(field.mean()) < 0.1
    assert abs(field.std() - 1) < 0.1


def test_noise_table_is_periodic_and_normalised() -> None:
    table = noise_table(np.random.default_rng(0), 2048, 8.0)
    assert abs(table.mean()) < 1e-5
    assert abs(table.std() - 1) < 1e-5
    assert abs(table[0] - table[-1]) <= np.abs(np.diff(table)).max()


def test_cell_distances_are_those_of_the_nearest_centres() -> None:
    rng = np.random.default_rng(1)
    y, x = rng.uniform(0, 60, (2, 500)).astype(np.float32)
    spacing, jitter = 10.0, 0.35
    first, second = cell_distances(np.random.default_rng(7), y, x, spacing, jitter)
    rows, cols = int(y.max() / spacing + 1) + 2, int(x.max() / spacing + 1) + 2
    centre = np.random.default_rng(7).uniform(0.5 - jitter, 0.5 + jitter, (2, rows, cols))
    points = (centre + np.indices((rows, cols)) - 1).reshape(2, -1).T * spacing
    distance, _ = cKDTree(points).query(np.stack([y, x], 1), k=2)
    np.testing.assert_allclose(first, distance[:, 0], atol=1e-4)
    exact = np.isclose(second, distance[:, 1], atol=1e-4)
    assert exact.mean() > 0.97
    assert (second[~exact] > distance[~exact, 1]).all()


def test_jittered_grid_keeps_its_distance() -> None:
    y, x = jittered_grid(np.random.default_rng(0), 200, 10.0, 0.2)
    assert ((y >= 0) & (y < 200) & (x >= 0) & (x < 200)).all()
    assert abs(len(y) / (200**2 / (0.866 * 100)) - 1) < 0.1
    distance, _ = cKDTree(np.stack([y, x], 1)).query(np.stack([y, x], 1), k=2)
    assert distance[:, 1].min() > 10 * (0.999 - 2 * 0.2 * 2**0.5)


def test_ramp_goes_either_way() -> None:
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(ramp(values, 0.0, 1.0), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(ramp(values, 1.0, 0.0), [1, 1, 0.5, 0, 0])
