from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_gym.gan import LOSSES


def _log1pexp(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


REFERENCE_D = {
    "non_saturating": lambda r, f, w: (
        -np.log(1 / (1 + np.exp(-r))).mean() - (w * np.log(1 - 1 / (1 + np.exp(-f)))).mean()
    ),
    "hinge": lambda r, f, w: np.maximum(0, 1 - r).mean() + (w * np.maximum(0, 1 + f)).mean(),
    "least_squares": lambda r, f, w: ((r - 1) ** 2).mean() + (w * (f + 1) ** 2).mean(),
    "wgan_gp": lambda r, f, w: (w * f).mean() - r.mean(),
    "relativistic": lambda r, f, w: (w * _log1pexp(f - r)).mean(),
}
REFERENCE_G = {
    "non_saturating": lambda r, f: -np.log(1 / (1 + np.exp(-f))).mean(),
    "hinge": lambda r, f: -f.mean(),
    "least_squares": lambda r, f: ((f - 1) ** 2).mean(),
    "wgan_gp": lambda r, f: -f.mean(),
    "relativistic": lambda r, f: _log1pexp(r - f).mean(),
}


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor]:
    """Logits of real and generated samples and weights, `(3, 16)` each."""
    rng = torch.Generator().manual_seed(0)
    real, fake = (3 * torch.randn(2, 3, 16, generator=rng, dtype=torch.float64)).unbind()
    return real, fake, torch.rand(3, 16, generator=rng, dtype=torch.float64)


def test_references_cover_all_losses() -> None:
    assert set(LOSSES) == set(REFERENCE_D) == set(REFERENCE_G)


@pytest.mark.parametrize("name", LOSSES)
def test_equals_reference_and_batch_dimensions_equal_loops(
    name: str, logits: tuple[Tensor, Tensor, Tensor]
) -> None:
    loss, (real, fake, weight) = LOSSES[name], logits
    weighted, plain = loss.d_loss(real, fake, weight), loss.d_loss(real, fake, None)
    g_loss = loss.g_loss(fake, real if loss.relativistic else None)
    assert weighted.shape == plain.shape == g_loss.shape == (3,)
    for i in range(3):
        r, f, w = (x[i].numpy() for x in (real, fake, weight))
        assert float(weighted[i]) == pytest.approx(REFERENCE_D[name](r, f, w))
        assert float(plain[i]) == pytest.approx(REFERENCE_D[name](r, f, np.ones_like(w)))
        assert float(g_loss[i]) == pytest.approx(REFERENCE_G[name](r, f))


@pytest.mark.parametrize("name", LOSSES)
def test_equilibrium_is_the_loss_of_a_discriminator_that_says_nothing(name: str) -> None:
    zeros = torch.zeros(4, dtype=torch.float64)
    loss = LOSSES[name]
    assert float(loss.d_loss(zeros, zeros, None)) == pytest.approx(loss.equilibrium)
    assert loss.scale == (loss.equilibrium or 1.0)


@pytest.mark.parametrize("name", LOSSES)
def test_full_weight_silences_the_fake_term(name: str, logits: tuple[Tensor, Tensor, Tensor]) -> None:
    real, fake, _ = logits
    fake = fake.clone().requires_grad_(True)
    LOSSES[name].d_loss(real, fake, torch.zeros_like(fake)).sum().backward()
    assert fake.grad is not None
    assert not fake.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_stays_finite_at_extreme_logits(name: str) -> None:
    loss, real, fake = LOSSES[name], torch.tensor([1e4, -1e4]), torch.tensor([-1e4, 1e4])
    assert loss.d_loss(real, fake, None).isfinite()
    assert loss.g_loss(fake, real).isfinite()
