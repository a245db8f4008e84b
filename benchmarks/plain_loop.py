"""The loop one would write without this package: the yardstick of `benchmarks.throughput`.

It has the form of PyTorch's DCGAN tutorial
(https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html): D scores real and generated data in
two passes, G learns from the fakes D has just seen, `torch.optim.Adam` holds one tensor a parameter, and both
losses are read at every step. It does less than `GANTrainer`: no averaged generator (unless asked for), no
statistics, no fresh fakes for G, no check that anything is finite, and nothing to resume from.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.functional import softplus

from gan_gym.gan import Source


class PlainLoop:
    """A plain PyTorch GAN loop with the non-saturating loss.

    Args:
        generator: network that maps latents to samples; has `z_dim`.
        discriminator: network that maps samples to logits.
        source: real samples.
        batch_size: real and generated samples of each update.
        averaged: whether a copy of the generator follows it as an exponential moving average.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        source: Source,
        batch_size: int,
        *,
        averaged: bool = False,
    ) -> None:
        self.g, self.d, self.source, self.batch_size = generator, discriminator, source, batch_size
        self.z_dim: int = generator.z_dim  # type: ignore[assignment]
        self.g_ema = copy.deepcopy(generator).requires_grad_(False) if averaged else None
        self.device = next(generator.parameters()).device
        self.rng = torch.Generator().manual_seed(0)
        self.g_optimizer = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.99))
        self.d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.99))
        self.losses: list[tuple[float, float]] = []

    def train(self, n_steps: int) -> None:
        """Do `n_steps` updates of both networks."""
        for _ in range(n_steps):
            self._step()

    def _step(self) -> None:
        self.d.zero_grad()
        real = self.source.batch(self.batch_size, self.rng).to(self.device)
        real_loss = softplus(-self.d(real)).mean()
        real_loss.backward()  # type: ignore[no-untyped-call]
        fake = self.g(torch.randn(self.batch_size, self.z_dim, generator=self.rng).to(self.device))
        fake_loss = softplus(self.d(fake.detach())).mean()
        fake_loss.backward()  # type: ignore[no-untyped-call]
        self.d_optimizer.step()
        self.g.zero_grad()
        g_loss = softplus(-self.d(fake)).mean()
        g_loss.backward()  # type: ignore[no-untyped-call]
        self.g_optimizer.step()
        self.losses.append((real_loss.item() + fake_loss.item(), g_loss.item()))
        if self.g_ema is not None:
            self._average(self.g_ema)

    @torch.no_grad()
    def _average(self, g_ema: nn.Module) -> None:
        for average, parameter in zip(g_ema.parameters(), self.g.parameters(), strict=True):
            average.lerp_(parameter, 0.01)
        for kept, buffer in zip(g_ema.buffers(), self.g.buffers(), strict=True):
            kept.copy_(buffer)
