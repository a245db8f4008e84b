from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_gym.latents import slerp


def _normal(n: int, seed: int) -> Tensor:
    return torch.randn(n, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_follows_the_circle() -> None:
    a, b = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    for t in (0.0, 0.25, 0.5, 1.0):
        expected = torch.tensor([math.cos(t * math.pi / 2), math.sin(t * math.pi / 2), 0.0])
        torch.testing.assert_close(slerp(a, b, t), expected)


def test_lengths_are_mixed_evenly() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    for t in (0.0, 0.25, 0.5, 1.0):
        torch.testing.assert_close(slerp(a, b, t).norm(), torch.tensor(2 + 2 * t))


def test_it_runs_along_the_great_arc_at_constant_speed() -> None:
    a, b = (x / x.norm(dim=1, keepdim=True) for x in (_normal(20, 0), _normal(20, 1)))
    angle = (a * b).sum(1).acos()
    for t in (0.0, 0.3, 1.0):
        at = slerp(a, b, torch.full((20, 1), t))
        torch.testing.assert_close(at.norm(dim=1), torch.ones(20).double())
        torch.testing.assert_close((a * at).sum(1).clamp(max=1).acos(), t * angle, atol=1e-6, rtol=0)


def test_from_a_latent_to_itself_there_is_no_way() -> None:
    a = _normal(20, 0)
    torch.testing.assert_close(slerp(a, a, 0.5), a, rtol=1e-5, atol=1e-6)
