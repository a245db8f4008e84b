"""KID against a double loop, its interval against a closed form."""

from __future__ import annotations

from math import comb

import numpy as np
import torch

from gan_gym.metrics import kid


def normal(n: int, d: int, seed: int, *, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def test_equals_the_double_loop():
    x, y = normal(13, 4, 0).double().numpy(), normal(11, 4, 1, shift=0.4).double().numpy()

    def k(a, b):
        return (float(a @ b) / 4 + 1) ** 3

    within_x = [k(x[i], x[j]) for i in range(13) for j in range(13) if i != j]
    within_y = [k(y[i], y[j]) for i in range(11) for j in range(11) if i != j]
    across = [k(a, b) for a in x for b in y]
    expected = np.mean(within_x) + np.mean(within_y) - 2 * np.mean(across)
    assert np.isclose(kid(torch.from_numpy(x), torch.from_numpy(y)).value, expected, rtol=1e-10)


def test_blocks_of_rows_do_not_change_the_value():
    x, y = normal(1_500, 3, 0), normal(1_100, 3, 1, shift=0.2)

    def total(a, b):
        return (a.double() @ b.double().T / 3 + 1) ** 3

    n, m = len(x), len(y)
    xx, yy = total(x, x), total(y, y)
    expected = (xx.sum() - xx.trace()) / n / (n - 1) + (yy.sum() - yy.trace()) / m / (m - 1)
    expected -= 2 * total(x, y).mean()
    assert np.isclose(kid(x, y, n_subsets=3).value, float(expected), rtol=1e-9)


def test_interval_covers_the_closed_form_and_the_estimate_is_unbiased():
    # D = 1: the kernel is sum_j C(3, j) (xy)^j, so the squared MMD is sum_j C(3, j) (E x^j - E y^j)^2.
    shift = 0.6
    moments_x, moments_y = (0.0, 1.0, 0.0), (shift, 1 + shift**2, shift**3 + 3 * shift)
    truth = sum(
        comb(3, j + 1) * (a - b) ** 2 for j, (a, b) in enumerate(zip(moments_x, moments_y, strict=True))
    )
    figures = [kid(normal(80, 1, 2 * s), normal(80, 1, 2 * s + 1, shift=shift), seed=s) for s in range(150)]
    hit = np.mean([f.low <= truth <= f.high for f in figures])
    assert 0.86 <= hit <= 1.0
    values = np.array([f.value for f in figures])
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(len(values))


def test_same_seed_same_interval_and_the_value_needs_no_seed():
    x, y = normal(40, 3, 0), normal(40, 3, 1)
    assert kid(x, y, seed=5) == kid(x, y, seed=5)
    assert kid(x, y, seed=5).low != kid(x, y, seed=6).low
    assert kid(x, y, seed=5).value == kid(x, y, seed=6).value


def test_too_few_images_give_a_reason():
    figure = kid(normal(9, 3, 0), normal(400, 3, 1))
    assert figure.value is None
    assert "at least 10" in figure.reason
