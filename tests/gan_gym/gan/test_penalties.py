"""Gradient penalties, seen through the gradient D receives: learning rates are 0, so nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_gym.gan import GANTrainer, Settings, TrainerConfig

EVERY, GAMMA = 3, 0.7
POINT = torch.tensor([1.0, -2.0])


class _Points:
    """A source that gives the same point again and again."""

    shape: tuple[int, ...] = (2,)

    def batch(self, n: int, rng: torch.Generator) -> Tensor:
        return POINT.expand(n, -1)


class _Generator(nn.Module):
    """Makes the point (3, 1), whatever the latent."""

    z_dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([3.0, 1.0]))

    def forward(self, z: Tensor) -> Tensor:
        return self.point.expand(len(z), -1)


class _Linear(nn.Module):
    """D(x) = a . x, with gradient a everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([0.6, 1.7]))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.a


class _Quadratic(nn.Module):
    """D(x) = w |x|^2 / 2, with gradient w x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.3]))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x.square().sum(1) / 2


def _gradients(discriminator: nn.Module, loss: str, gamma: float, n_steps: int = 1) -> list[Tensor]:
    """Return D's gradient in each of `n_steps` inner steps."""
    config = TrainerConfig(loss=loss, batch_size=4, penalty_every=EVERY)
    settings = Settings(g_lr=0, d_lr=0, r1_gamma=gamma, beta1=0)  # Adam's first moment is then the gradient
    trainer = GANTrainer(_Generator(), discriminator, _Points(), config, settings)
    gradients = []
    for _ in range(n_steps):
        trainer.train(1)
        gradients.append(trainer.d_moments["exp_avg"].clone())
    return gradients


@pytest.mark.parametrize(("loss", "n_sides"), [("hinge", 1), ("non_saturating", 1), ("relativistic", 2)])
def test_r1_of_a_linear_discriminator(loss: str, n_sides: int) -> None:
    (plain,), (penalised,) = (_gradients(_Linear(), loss, gamma) for gamma in (0.0, GAMMA))
    # d/da (gamma / 2 |a|^2) = gamma a, for real data and, under relativistic losses alone, for generated data
    torch.testing.assert_close(penalised - plain, EVERY * n_sides * GAMMA * _Linear().a.detach())


@pytest.mark.parametrize(
    ("loss", "mean_square"), [("least_squares", 5.0), ("relativistic", 5.0 + 10.0)], ids=["r1", "r1+r2"]
)
def test_r1_looks_at_real_data_and_r2_at_generated_data(loss: str, mean_square: float) -> None:
    (plain,), (penalised,) = (_gradients(_Quadratic(), loss, gamma) for gamma in (0.0, GAMMA))
    expected = EVERY * GAMMA * _Quadratic().w.detach() * mean_square
    torch.testing.assert_close(penalised - plain, expected)


def test_wgan_gp_of_a_linear_discriminator() -> None:
    (gradient,) = _gradients(_Linear(), "wgan_gp", 0.0)
    a = _Linear().a.detach()
    wasserstein = torch.tensor([3.0, 1.0]) - POINT
    penalty = 10 * 2 * (a.norm() - 1) * a / a.norm()
    torch.testing.assert_close(gradient, wasserstein + EVERY * penalty)


def test_wgan_gp_looks_between_real_and_generated_data() -> None:
    """The gradient of w |x|^2 / 2 has norm w |x|, and x lies on the segment from (1, -2) to (3, 1)."""
    (gradient,) = _gradients(_Quadratic(), "wgan_gp", 0.0)
    w = _Quadratic().w.item()
    nearest, farthest = 7 / 13**0.5, 10**0.5  # the segment's line passes the origin at distance 7 / sqrt(13)
    low, high = (EVERY * 10 * 2 * (w * x - 1) * x for x in (nearest, farthest))
    assert low < float(gradient) - (10 - 5) / 2 < high


def test_penalties_are_lazy_and_weighted_by_their_interval() -> None:
    plain = _gradients(_Linear(), "hinge", 0.0, 2 * EVERY)
    penalised = _gradients(_Linear(), "hinge", GAMMA, 2 * EVERY)
    due = [not torch.equal(p, q) for p, q in zip(plain, penalised, strict=True)]
    assert due == [True, False, False] * 2
    average = sum(q - p for p, q in zip(plain, penalised, strict=True)) / len(plain)
    torch.testing.assert_close(average, GAMMA * _Linear().a.detach())
