"""Train many GANs of one architecture as one batched computation.

The trainers keep their state; it is stacked at the start of a block and written back at its end, so a GAN can
be restarted, snapshotted or moved to another population between any two blocks. Each GAN draws from its own
streams and sees what it would have seen alone: results equal those of `GANTrainer.train` within float
tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gan_gym.gan.flat import FlatModule, views
from gan_gym.gan.losses import LOSSES
from gan_gym.gan.statistics import Recorder, Statistics
from gan_gym.gan.trainer import MEASURE_EVERY, GANTrainer
from gan_gym.randomness import generator

EPSILON = 1e-8
"""Adam's epsilon, as in `torch.optim.Adam`."""


def can_batch(trainers: Sequence[GANTrainer]) -> bool:
    """Return whether these GANs can be trained together.

    They must share architecture, batch size and data, score real and fake in one pass, have no layers that
    keep running statistics, and none of them may weigh the discriminator's loss by similarity (whose cost is
    the reward model's, not the GAN's) or need WGAN-GP's interpolates.
    """
    first = trainers[0]
    return all(
        t.source is first.source
        and t.config.batch_size == first.config.batch_size
        and t.config.beta2 == first.config.beta2
        and t.device == first.device
        and t.g.architecture == first.g.architecture
        and t.d.architecture == first.d.architecture
        and getattr(t.d.module, "joint", True)
        and not any(_keeps_statistics(network.module) for network in (t.g, t.d))
        and t.settings.reward_weight == 0
        and t.loss.gradient_penalty == 0
        for t in trainers
    )


def _keeps_statistics(module: nn.Module) -> bool:
    return any(getattr(layer, "track_running_stats", False) for layer in module.modules())


class _Stack:
    """The weights of one network of each GAN, `(n, P)`, with their Adam moments."""

    def __init__(self, networks: Sequence[FlatModule], optimizers: Sequence[torch.optim.Adam]) -> None:
        self.networks, self.moments = networks, [next(iter(o.state.values())) for o in optimizers]
        module = networks[0].module
        self.vector = torch.stack([network.vector.detach() for network in networks]).requires_grad_(True)
        self.mean = torch.stack([moments["exp_avg"] for moments in self.moments])
        self.square = torch.stack([moments["exp_avg_sq"] for moments in self.moments])
        self.steps = torch.stack([moments["step"] for moments in self.moments]).unsqueeze(1).double()
        self._names = [name for name, _ in module.named_parameters()]
        self._shapes = networks[0].shapes
        self._buffers = {
            name: torch.stack([dict(network.module.named_buffers())[name] for network in networks])
            for name, _ in module.named_buffers()
        }

        def forward(weights: dict[str, Tensor], x: Tensor) -> Any:
            return functional_call(module, weights, (x,))

        self._forward: Callable[..., Tensor] = torch.vmap(forward)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply each GAN's network to its own inputs, `(n, B, ...)`."""
        weights = dict(zip(self._names, views(self.vector, self._shapes), strict=True))
        return self._forward({**weights, **self._buffers}, x)

    def gradient(self, losses: Tensor) -> Tensor:
        """Return the gradient of each GAN's loss, `(n, P)`."""
        return torch.autograd.grad(losses.sum(), self.vector)[0]

    @torch.no_grad()
    def step(self, gradient: Tensor, lr: Tensor, beta1: Tensor, beta2: float, active: Tensor | None) -> None:
        """Take Adam's step (Kingma & Ba 2015, arXiv 1412.6980, alg. 1), each GAN at its own rate `(n, 1)`."""
        changed = self.vector, self.mean, self.square, self.steps
        before = None if active is None else [tensor.clone() for tensor in changed]
        # in place: new tensors of this size cost more than the arithmetic
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        self.steps += 1
        root = self.square.sqrt().mul_((1 - beta2**self.steps).rsqrt_().float()).add_(EPSILON)
        rate = (lr / (1 - beta1.double() ** self.steps)).float()
        self.vector.sub_(torch.div(self.mean, root, out=root).mul_(rate))
        if active is not None and before is not None:
            for tensor, old in zip(changed, before, strict=True):
                tensor.copy_(torch.where(active, tensor, old))

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy weights and moments to the GANs they came from."""
        for i, (network, moments) in enumerate(zip(self.networks, self.moments, strict=True)):
            network.vector.copy_(self.vector[i])
            moments["exp_avg"].copy_(self.mean[i])
            moments["exp_avg_sq"].copy_(self.square[i])
            moments["step"].copy_(self.steps[i, 0])


def train_together(trainers: Sequence[GANTrainer], n_steps: int) -> list[Statistics]:
    """Do `n_steps` inner steps of every GAN and return their statistics, also kept by the trainers.

    Raises:
        ValueError: if the GANs cannot be batched, or `n_steps` is below 1.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps is {n_steps}; give a whole number >= 1")
    if not can_batch(trainers):
        raise ValueError("these GANs cannot be trained together; call `train` on each (see `can_batch`)")
    block = _Block(trainers)
    for i in range(n_steps):
        block.inner_step(measured=i % MEASURE_EVERY == 0)
    return block.finish()


class _Block:
    def __init__(self, trainers: Sequence[GANTrainer]) -> None:
        self.trainers, self.device = trainers, trainers[0].device
        self.g = _Stack([t.g for t in trainers], [t.g_optimizer for t in trainers])
        self.d = _Stack([t.d for t in trainers], [t.d_optimizer for t in trainers])
        self.ema = torch.stack([t.g_ema.vector.detach() for t in trainers])
        self.recorder = Recorder()
        self.start = self.g.vector.detach().clone(), self.d.vector.detach().clone()
        self.beta1 = self._column([t.settings.beta1 for t in trainers])
        self.beta2 = trainers[0].config.beta2
        self.n_updates = [round(t.settings.d_steps) for t in trainers]
        names = [t.config.loss for t in trainers]
        self.groups = {
            name: torch.tensor([i for i, other in enumerate(names) if other == name], device=self.device)
            for name in dict.fromkeys(names)
        }
        self.relativistic = any(t.loss.relativistic for t in trainers)

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self.device, dtype=torch.float32).unsqueeze(1)

    def _stack(self, rows: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(rows)).to(self.device)

    def inner_step(self, measured: bool) -> None:
        """Do what `GANTrainer._inner_step` does, for all GANs."""
        rngs = [generator(t.seed, "step", t.n_images) for t in self.trainers]
        rates = [t.learning_rates for t in self.trainers]
        g_lr, d_lr = self._column([r[0] for r in rates]), self._column([r[1] for r in rates])
        n = self.trainers[0].config.batch_size
        before = [s.vector.detach().clone() for s in (self.g, self.d)] if measured else []
        drawn: list[tuple[Tensor, Tensor]] = []
        for update in range(max(self.n_updates)):
            on = [update < k for k in self.n_updates]
            drawn = [
                (t.source.batch(n, rng), t.latents(n, rng)) if active else drawn[i]
                for i, (t, rng, active) in enumerate(zip(self.trainers, rngs, on, strict=True))
            ]
            x_real = self._stack([real for real, _ in drawn])
            with torch.no_grad():
                x_fake = self.g(self._stack([z for _, z in drawn]))
            seen = self._seen(torch.cat([x_real, x_fake], 1), rngs, on)
            new_logits = self.d(seen)
            losses = self._losses(lambda loss, pair: loss.d_loss(*pair.chunk(2, -1), None), new_logits)
            gradient = self.d.gradient(losses + self._penalties(seen))
            if all(on):
                active, d_losses, d_gradient, logits = None, losses, gradient, new_logits
            else:  # a GAN that has done its updates keeps what the last one gave
                active = torch.tensor(on, device=self.device).unsqueeze(1)
                d_losses = torch.where(active.squeeze(1), losses, d_losses)
                d_gradient = torch.where(active, gradient, d_gradient)
                logits = torch.where(active, new_logits, logits)
            self.d.step(gradient, d_lr, self.beta1, self.beta2, active)
        z = self._stack([t.latents(n, rng) for t, rng in zip(self.trainers, rngs, strict=True)])
        x_fake = self.g(z)
        if self.relativistic:
            pair = self.d(self._seen_in_pairs(x_real, x_fake, rngs))
            g_losses = self._losses(
                lambda loss, both: loss.g_loss(both.chunk(2, -1)[1], both.chunk(2, -1)[0]), pair
            )
        else:
            g_losses = self._losses(
                lambda loss, fake: loss.g_loss(fake, None), self.d(self._seen(x_fake, rngs, None))
            )
        g_gradient = self.g.gradient(g_losses)
        self.g.step(g_gradient, g_lr, self.beta1, self.beta2, None)
        for trainer in self.trainers:
            trainer.n_images += n
        weights = self._column([t.averaging_weight for t in self.trainers])
        self.ema.lerp_(self.g.vector.detach(), weights)
        self.recorder.step(g_losses, d_losses, logits)
        if measured:
            g_before, d_before = before
            self._measure((g_gradient, g_before, self.g), (d_gradient, d_before, self.d))

    def _losses(self, compute: Callable[..., Tensor], logits: Tensor) -> Tensor:
        """Return `(n,)` losses, each GAN under its own loss."""
        if len(self.groups) == 1:
            (name,) = self.groups
            return compute(LOSSES[name], logits)
        losses = logits.new_zeros(len(self.trainers))
        for name, rows in self.groups.items():
            losses = losses.index_copy(0, rows, compute(LOSSES[name], logits[rows]))
        return losses

    def _seen(self, x: Tensor, rngs: Sequence[torch.Generator], on: Sequence[bool] | None) -> Tensor:
        """Augment and add noise, each GAN by its own settings."""
        if all(t.settings.augment_p == 0 and t.settings.instance_noise == 0 for t in self.trainers):
            return x
        rows = [
            t.seen(row, rng) if on is None or on[i] else row
            for i, (t, row, rng) in enumerate(zip(self.trainers, x, rngs, strict=True))
        ]
        return torch.stack(rows)

    def _seen_in_pairs(self, x_real: Tensor, x_fake: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Do `_seen` for G where some losses need real data; the others draw for generated data alone."""
        rows = [
            t.seen(torch.cat([real, fake]), rng)
            if t.loss.relativistic
            else torch.cat([real, t.seen(fake, rng)])
            for t, real, fake, rng in zip(self.trainers, x_real, x_fake, rngs, strict=True)
        ]
        return torch.stack(rows)

    def _penalties(self, seen: Tensor) -> Tensor:
        """Return R1 (and R2 for relativistic losses), `(n,)`, 0 where it is off or not due."""
        half = seen.shape[1] // 2
        gammas = [
            t.config.penalty_every * t.settings.r1_gamma if t.penalty_due else 0.0 for t in self.trainers
        ]
        if not any(gammas):
            return seen.new_zeros(len(self.trainers))
        x = seen.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.d(x).sum(), x, create_graph=True)
        squared = gradient.square().flatten(2).sum(2)
        both = self._column([float(t.loss.relativistic) for t in self.trainers])
        total = squared[:, :half].sum(1) + both.squeeze(1) * squared[:, half:].sum(1)
        return self._column(gammas).squeeze(1) / 2 * total / half

    def _measure(self, *networks: tuple[Tensor, Tensor, _Stack]) -> None:
        norms = tuple(
            norm
            for gradient, before, stack in networks
            for norm in (
                gradient.norm(dim=1),
                (stack.vector.detach() - before).norm(dim=1),
                before.norm(dim=1),
            )
        )
        self.recorder.measure(norms)
        for i, trainer in enumerate(self.trainers):
            if trainer.settings.g_update_ratio > 0 or trainer.settings.d_update_ratio > 0:
                row = tuple(norm[i] for norm in norms)
                trainer.follow_update_ratios(row[:3], row[3:])

    def finish(self) -> list[Statistics]:
        """Write everything back and return the statistics."""
        moved = torch.stack(
            [(s.vector.detach() - b).norm(dim=1) for s, b in zip((self.g, self.d), self.start, strict=True)]
        )
        sizes = self.g.vector.shape[1], self.d.vector.shape[1]
        summaries = self.recorder.summary([t.statistics for t in self.trainers], moved, sizes)
        self.g.write_back()
        self.d.write_back()
        for i, (trainer, summary) in enumerate(zip(self.trainers, summaries, strict=True)):
            trainer.g_ema.vector.data.copy_(self.ema[i])
            trainer.statistics = summary
        return summaries
