from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor, nn

from gan_gym.gan import GANTrainer, Settings
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


@pytest.mark.parametrize("shape", [(1,), (3,), (8, 8)])
def test_samples_that_cannot_be_augmented_are_refused(shape: tuple[int, ...]) -> None:
    class Source:
        def __init__(self) -> None:
            self.shape = shape

        def batch(self, n: int, rng: torch.Generator) -> Tensor:
            return torch.randn(n, *shape, generator=rng)

    n = math.prod(shape)
    generator = nn.Sequential(nn.Linear(4, n), nn.Unflatten(1, shape))
    generator.z_dim = 4  # type: ignore[assignment]
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(n, 1), nn.Flatten(0))
    trainer = GANTrainer(generator, discriminator, Source(), settings=Settings(augment_p=0.5))
    before, _ = trainer.state()
    with pytest.raises(ValueError, match=rf"shape {re.escape(str(shape))} cannot be .* set augment_p to 0"):
        trainer.train(1)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.state()[0].items())
    trainer.settings = Settings()
    trainer.train(1)


def test_it_differs_from_diffaugment_as_the_docstring_says() -> None:
    """Against DiffAugment's formulas, arXiv 2006.10738: brightness, then contrast around the mean of that."""
    x = torch.rand(4, 3, 16, 16, generator=_rng(1)) * 2 - 1
    moves = torch.rand(4, 6, generator=_rng(2))
    moves[:, 2:4] = 0.5  # no shift
    ours = augmented(x, torch.tensor(1.0), {"chosen": torch.zeros(4), "moves": moves})
    brightness, contrast = (moves[:, i].view(-1, 1, 1, 1) for i in (0, 1))
    brighter = x + (brightness - 0.5)
    mean = brighter.mean((1, 2, 3), keepdim=True)
    theirs = (brighter - mean) * (contrast + 0.5) + mean
    kept = ours != 0
    difference = ((brightness - 0.5) * (contrast - 0.5)).expand_as(x)
    torch.testing.assert_close((ours - theirs)[kept], difference[kept])
    assert (~kept).all(1).sum((1, 2)).tolist() == [64] * 4  # the whole square of 8 x 8
