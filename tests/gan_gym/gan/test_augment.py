from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_gym.gan.augment import augmented, draw_augmentation


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augment(x: Tensor, p: float, rng: torch.Generator) -> Tensor:
    return augmented(x, torch.tensor(p), draw_augmentation(x.shape, rng))


@pytest.fixture(params=["points", "patches", "flat patches"])
def samples(request: pytest.FixtureRequest) -> Tensor:
    shape = {"points": (2,), "patches": (3, 16, 16), "flat patches": (3, 8, 24)}[request.param]
    return torch.rand(64, *shape, generator=_rng(9)) * 2 - 1


def _share_changed(x: Tensor, y: Tensor) -> float:
    return float((x != y).flatten(1).any(1).float().mean())


def test_probability_is_the_share_of_samples_changed(samples: Tensor) -> None:
    assert torch.equal(augment(samples, 0.0, _rng()), samples)
    untouched = 1 / 4 if samples.ndim == 2 else 0  # one of four quarter turns is none
    for p in (0.3, 1.0):
        shares = [_share_changed(samples, augment(samples, p, _rng(seed))) for seed in range(20)]
        assert sum(shares) / 20 == pytest.approx(p * (1 - untouched), abs=0.05)
    assert augment(samples, 1.0, _rng()).shape == samples.shape


def test_same_generator_same_result(samples: Tensor) -> None:
    first, again, other = (augment(samples, 0.5, _rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_draws_do_not_depend_on_the_probability(samples: Tensor) -> None:
    one, two = _rng(), _rng()
    augment(samples, 0.1, one)
    augment(samples, 0.9, two)
    assert torch.equal(one.get_state(), two.get_state())


def test_gradient_reaches_what_was_augmented(samples: Tensor) -> None:
    x = samples.clone().requires_grad_(True)
    y = augment(x, 1.0, _rng())
    y.square().sum().backward()
    assert x.grad is not None
    assert bool((x.grad.flatten(1).norm(dim=1) > 0).all())
    # a directional derivative against a finite difference
    with torch.no_grad():
        step = 1e-3 * torch.randn(x.shape, generator=_rng(3))
        up, down = (augment(samples + s, 1.0, _rng()).double().square().sum() for s in (step, -step))
    assert float((x.grad * step).sum()) == pytest.approx(float(up - down) / 2, rel=1e-2, abs=1e-3)


def test_points_are_turned_by_quarter_turns() -> None:
    point = torch.tensor([[3.0, 1.0]])
    turns = {tuple(augment(point, 1.0, _rng(seed))[0].tolist()) for seed in range(40)}
    assert turns == {(3.0, 1.0), (-1.0, 3.0), (-3.0, -1.0), (1.0, -3.0)}


def test_a_quarter_of_each_patch_is_cut_out() -> None:
    ones = torch.ones(32, 3, 16, 16)
    augmented = augment(ones, 1.0, _rng())
    cut = (augmented == 0).all(1).float().mean((1, 2))
    assert bool((cut >= 0.25).all())  # the square, and what was shifted in
    assert bool((cut <= 0.25 + 2 / 8).all())
