from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from agents.attach import AttachedController
from gan_gym.data.mixtures import MixtureSampler
from gan_gym.gan import build_networks
from gan_gym.randomness import generator


class Stub:
    """A policy that plays a list of actions, then keeps every knob; its state counts its decisions."""

    def __init__(self, knobs: Sequence[str], *actions: Sequence[float]) -> None:
        self.knobs, self.actions = tuple(knobs), actions
        self.seen: list[np.ndarray] = []

    def predict(self, observation: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        n = 0 if state is None else state[0]
        self.seen.append(observation)
        action = self.actions[n] if n < len(self.actions) else np.zeros(len(self.knobs))
        return np.asarray(action, np.float32), [n + 1]


class Loop:
    """A loop as one would write it, for points: the DCGAN tutorial's order of things."""

    def __init__(
        self,
        make_g: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        make_d: Callable[..., torch.optim.Optimizer] | None = None,
        batch_size: int = 64,
        **options: Any,
    ) -> None:
        options = {"lr": 1e-3} | options
        self.g, self.d = build_networks("mlp", (2,), seed=0)
        self.opt_g = make_g(self.g.parameters(), **options)
        self.opt_d = (make_d or make_g)(self.d.parameters(), **options)
        self.source, self.rng, self.batch_size = MixtureSampler.grid(), generator(0, "loop"), batch_size

    def report(self, n: int | None = None) -> dict[str, Any]:
        """Update both networks and return what `step` takes."""
        n = n or self.batch_size
        real, z = self.source.batch(n, self.rng), torch.randn(n, 2, generator=self.rng)
        self.d.zero_grad()
        score_real = self.d(real)
        fake = self.g(z)
        score_fake = self.d(fake.detach())
        d_loss = (softplus(-score_real) + softplus(score_fake)).mean()
        d_loss.backward()
        self.opt_d.step()
        self.g.zero_grad()
        g_loss = softplus(-self.d(fake)).mean()
        g_loss.backward()
        self.opt_g.step()
        return {
            "g_loss": g_loss, "d_loss": d_loss, "score_real": score_real, "score_fake": score_fake,
            "real": real, "fake": fake,
        }  # fmt: skip

    def attach(self, controller: Any, **options: Any) -> AttachedController:
        options = {"total_steps": 1000, "discriminator": self.d} | options
        return AttachedController(controller, self.opt_g, self.opt_d, **options)

    def run(self, attached: AttachedController, n_steps: int, **changes: Any) -> None:
        for _ in range(n_steps):
            attached.step(**(self.report() | changes))


@pytest.fixture
def stub() -> type[Stub]:
    return Stub


@pytest.fixture
def loop() -> type[Loop]:
    return Loop


def fake_report(real: Tensor, fake: Tensor) -> dict[str, Any]:
    logits = torch.zeros(len(real))
    return {
        "g_loss": 1.0, "d_loss": 1.0, "score_real": logits, "score_fake": logits, "real": real, "fake": fake,
    }  # fmt: skip


@pytest.fixture
def show() -> Callable[[Any, Tensor, Tensor, int], Any]:
    """Attach a controller of learning rates that never moves to idle networks and show it samples."""

    def run(batches: Sequence[tuple[Tensor, Tensor]], **options: Any) -> AttachedController:
        opts = [torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1) for _ in "gd"]
        options = {"total_steps": 40 * len(batches), "steps_per_decision": len(batches)} | options
        attached = AttachedController(Stub(("g_lr", "d_lr")), *opts, **options)
        for real, fake in batches:
            for opt in opts:
                opt.step()
            attached.step(**fake_report(real, fake))
        return attached

    return run
