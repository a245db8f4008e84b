"""The inner step of a GAN, and of many GANs of one architecture as one batched computation.

`GANTrainer` holds the state of one GAN. A population takes the state of its members, trains, and gives it
back, so a GAN can be restarted, snapshotted or moved to another population between any two blocks. Each draws
from its own streams and sees what it would have seen alone: results equal those of `GANTrainer.train` within
float tolerance. A single GAN is a population of one, on the trainer's own tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import torch
from torch import Tensor

from gan_gym.gan.augment import augmented
from gan_gym.gan.draws import Draws, Tape, take
from gan_gym.gan.flat import FlatModule, laid_out
from gan_gym.gan.knob_tensors import KnobTensors
from gan_gym.gan.losses import LOSSES
from gan_gym.gan.player import Player, changed_tensors
from gan_gym.gan.replay import Replay
from gan_gym.gan.statistics import Recorder, Statistics

if TYPE_CHECKING:
    from gan_gym.gan.trainer import GANTrainer

SAMPLED_AT_ONCE = 256
"""Samples that each GAN makes at once on a CPU, so that a population's hidden units stay in its cache."""

MEASURE_EVERY = 5
"""Inner steps between two measurements of gradient and update norms."""


def can_batch(members: Sequence[GANTrainer]) -> bool:
    """Return whether these GANs can be trained together.

    They must share architecture, batch size, precision, similarity and data, on one device, and their
    networks must take stacked weights (`gan.layers`).
    """
    first = _shared(members[0])
    return all(
        _shared(t) == first and all(getattr(network.module, "stackable", False) for network in (t.g, t.d))
        for t in members
    )


def _shared(trainer: GANTrainer) -> tuple[object, ...]:
    """Return what all members of a population have in common."""
    config = trainer.config
    return (
        trainer.source,
        trainer.similarity,
        trainer.device,
        trainer.g.architecture,
        trainer.d.architecture,
        (config.batch_size, config.beta2, config.precision, config.compile, config.cuda_graphs),
    )


def why_in_turn(members: Sequence[GANTrainer]) -> str:
    """Return why these GANs train faster one after the other, `""` if they train faster together.

    A GPU is never filled by one GAN. On a CPU, small networks gain, as most of their time is spent between
    the kernels; convolutions fill a core by themselves.
    """
    first = members[0]
    if not can_batch(members):
        return "their networks take no stacked weights (see gan.population.can_batch)"
    if first.device.type == "cpu" and len(first.source.shape) > 1:
        return "on a cpu their convolutions gain nothing from being batched"
    return ""


@dataclass(frozen=True)
class _Block:
    """What a block of inner steps reads and writes beside the networks."""

    members: Sequence[GANTrainer]
    knobs: KnobTensors
    g_tape: Tape
    d_tape: Tape
    recorder: Recorder


class Population:
    """GANs in training, stacked; see `GANTrainer` for what an inner step does.

    Args:
        members: GANs for which `can_batch` holds, or one.

    Raises:
        ValueError: if there are several that cannot be batched.
    """

    def __init__(self, members: Sequence[GANTrainer]) -> None:
        if len(members) > 1 and not can_batch(members):
            raise ValueError("these GANs cannot be trained together; call `train` on each (see `can_batch`)")
        first = members[0]
        self._shared, self._drawn = _shared(first), first.drawn
        self.lead = (len(members),) if len(members) > 1 else ()
        self.device, self.config, self.similarity = first.device, first.config, first.similarity
        self._replay = Replay(self.device, compiles=self.config.compile, captures=self.config.cuda_graphs)
        fused = not self.lead and self.device.type == "cpu" and self._replay.is_plain
        self.g = Player([t.g for t in members], [t.g_moments for t in members], fused=fused)
        self.d = Player([t.d for t in members], [t.d_moments for t in members], fused=fused)
        averaged = [t.g_ema for t in members]
        self.g_ema = FlatModule.stacked(averaged) if self.lead else averaged[0]
        pair = self.g_ema.tensors().values(), self.g.network.tensors().values()
        self._averages = list(zip(*pair, strict=True))
        self._axis = len(self.lead)
        self._joint: bool = getattr(first.d.module, "joint", True)

    def __getstate__(self) -> Never:
        """Refuse to be copied or pickled.

        Raises:
            TypeError: always.
        """
        raise TypeError("a population cannot be copied or pickled; copy its members and make another of them")

    def fits(self, members: Sequence[GANTrainer]) -> bool:
        """Return whether this population can train these GANs, which can be batched."""
        return self.lead == (len(members),) and self._shared == _shared(members[0])

    def train(self, members: Sequence[GANTrainer], n_steps: int) -> list[Statistics]:
        """Do `n_steps` inner steps of these GANs and return their statistics, also kept by the trainers.

        Args:
            members: as many GANs as the population was made for, not necessarily the same.
            n_steps: inner steps.

        Raises:
            ValueError: if `n_steps` is below 1, a `reward_weight` is above 0 without a `similarity`, or a
                discriminator does not return one logit a sample.
        """
        if n_steps < 1:
            raise ValueError(f"n_steps is {n_steps}; give a whole number >= 1")
        weights = [t.settings.reward_weight for t in members]
        if max(weights) > 0 and self.similarity is None:
            raise ValueError(
                f"reward_weight is {max(weights)} but the trainer has no similarity; "
                "pass `similarity`, or set reward_weight to 0"
            )
        self._copy(members, back=False)
        knobs = KnobTensors(members, self.lead, n_steps)
        g_tape, d_tape = (
            Tape(members, side, n_updates, n_steps, self.device)
            for side, n_updates in (("g", [1] * len(members)), ("d", knobs.n_updates))
        )
        block = _Block(members, knobs, g_tape, d_tape, Recorder())
        start = self.g.vector.clone(), self.d.vector.clone()
        for i in range(n_steps):
            self._inner_step(i, block, measured=i % MEASURE_EVERY == 0)
        ends = self.g.vector, self.d.vector
        moved = torch.stack([(a - b).norm(dim=-1) for a, b in zip(ends, start, strict=True)])
        sizes = ends[0].shape[-1], ends[1].shape[-1]
        summaries = block.recorder.summary([t.statistics for t in members], moved, sizes, self._total())
        self._copy(members, back=True)
        knobs.write_back()
        for trainer, summary in zip(members, summaries, strict=True):
            trainer.statistics = summary
        return summaries

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Map latents `(*lead, N, z_dim)` to samples of the averaged generators, `(*lead, N, *shape)`."""
        z = z.to(self.device)
        at_once = SAMPLED_AT_ONCE if z.device.type == "cpu" else z.shape[self._axis]
        parts = torch.split(z, at_once, self._axis)
        return torch.cat([self.g_ema(part) for part in parts], self._axis)

    def _inner_step(self, i: int, block: _Block, *, measured: bool) -> None:
        knobs, recorder = block.knobs, block.recorder
        before = [side.vector.clone() for side in (self.g, self.d)] if measured else []
        d_loss = d_gradient = logits = x_real = torch.empty(0)
        d_knobs = knobs.of_discriminator()
        for update in range(max(knobs.n_updates)):
            inputs = block.d_tape(i, update) | d_knobs
            active = knobs.active(update)
            if active is not None:
                inputs["active"] = active
            results = self._replay("d", self._update_discriminator, inputs)
            # a GAN that has done its updates keeps what the last one gave
            d_loss, d_gradient, logits, x_real = (
                now if active is None else torch.where(_columns(active, now), now, old)
                for now, old in zip(results, (d_loss, d_gradient, logits, x_real), strict=True)
            )
        inputs = block.g_tape(i) | knobs.of_generator(i)
        if knobs.relativistic:
            inputs["real"] = x_real
        g_loss, g_gradient = self._replay("g", self._update_generator, inputs)
        for trainer in block.members:
            trainer.n_images += self.config.batch_size
        recorder.step(g_loss, d_loss, logits)
        if measured:
            norms = tuple(
                norm.norm(dim=-1)
                for gradient, old, side in zip(
                    (g_gradient, d_gradient), before, (self.g, self.d), strict=True
                )
                for norm in (gradient, side.vector - old, old)
            )
            recorder.measure(norms)
            knobs.follow_update_ratios(norms)

    def _update_discriminator(self, inputs: Draws) -> tuple[Tensor, ...]:
        """Update D; return its loss, gradient and logits, and the real samples."""
        buffers = [*self.g.network.buffers, *self.d.network.buffers] if "active" in inputs else []
        before = [buffer.clone() for buffer in buffers]
        x_real = laid_out(take(self._drawn, inputs))
        with torch.no_grad():
            x_fake = self.g(inputs["z"])
        weight = None
        if "reward_weight" in inputs:
            assert self.similarity is not None
            similarity = self.similarity(x_fake.flatten(0, self._axis)).view(x_fake.shape[: self._axis + 1])
            weight = 1 - inputs["reward_weight"].unsqueeze(-1) * similarity
        seen = self._seen(torch.cat([x_real, x_fake], self._axis), inputs)
        logits = self._scores(seen)
        real, fake = logits.chunk(2, -1)
        loss = self._loss(inputs, lambda name: LOSSES[name].d_loss(real, fake, weight))
        penalised = loss + self._penalty(seen, inputs)
        gradient = self.d.network.differentiate(penalised.sum())
        self.d.step(gradient, inputs["lr"], inputs["beta1"], self.config.beta2, inputs.get("active"))
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(torch.where(_columns(inputs["active"], buffer), buffer, old))
        return loss.detach(), gradient, logits.detach(), x_real

    def _update_generator(self, inputs: Draws) -> tuple[Tensor, ...]:
        """Update G and its average; return its loss and gradient."""
        x_fake = self.g(inputs["z"])
        real = None
        if "real" in inputs:
            pair = self._scores(self._seen(torch.cat([inputs["real"], x_fake], self._axis), inputs))
            real, fake = pair.chunk(2, -1)
        else:
            fake = self._score(self._seen(x_fake, inputs))
        loss = self._loss(inputs, lambda name: LOSSES[name].g_loss(fake, real))
        gradient = self.g.network.differentiate(loss.sum())
        self.g.step(gradient, inputs["lr"], inputs["beta1"], self.config.beta2)
        self._average(inputs["averaging_weight"])
        return loss.detach(), gradient

    def _seen(self, x: Tensor, inputs: Draws) -> Tensor:
        """Augment samples and add instance noise."""
        if "chosen" in inputs:
            x = augmented(x, inputs["augment_p"], inputs)
        if "noise" in inputs:
            noise = inputs["noise"] if self.lead else laid_out(inputs["noise"])
            x = torch.addcmul(x, noise, _columns(inputs["noise_std"], x))
        return x

    def _scores(self, seen: Tensor) -> Tensor:
        """Score real and fake, the halves of `seen`: together, or apart where batch statistics would mix."""
        if self._joint:
            return self._score(seen)
        return torch.cat([self._score(half) for half in seen.chunk(2, self._axis)], -1)

    def _score(self, x: Tensor) -> Tensor:
        """Score samples; logits that are not one a sample are refused."""
        logits, wanted = self.d(x), x.shape[: self._axis + 1]
        if logits.shape != wanted:
            raise ValueError(
                f"the discriminator returns logits of shape {tuple(logits.shape)} for samples of shape "
                f"{tuple(x.shape)}; return {tuple(wanted)}, one logit a sample, for example by "
                f"`.flatten({self._axis + 1}).mean({self._axis + 1})`"
            )
        return logits

    def _loss(self, inputs: Draws, compute: Callable[[str], Tensor]) -> Tensor:
        """Return each GAN's loss under its own, `(*lead)`."""
        names = [name for name in LOSSES if f"is_{name}" in inputs]
        loss = compute(names[0])
        for name in names[1:]:
            loss = torch.where(inputs[f"is_{name}"], compute(name), loss)
        return loss

    def _penalty(self, seen: Tensor, inputs: Draws) -> Tensor | float:
        """Return R1 (with R2 for relativistic losses) and WGAN-GP's penalty where they are due, `(*lead)`."""
        real, fake = seen.chunk(2, self._axis)
        penalty: Tensor | float = 0.0
        if "r2" in inputs:
            slopes = self._slopes(seen, self._scores).square().sum(-1)
            real_slopes, fake_slopes = slopes.chunk(2, -1)
            penalty = inputs["r1"] * real_slopes.mean(-1) + inputs["r2"] * fake_slopes.mean(-1)
        elif "r1" in inputs:
            penalty = inputs["r1"] * self._slopes(real, self._score).square().sum(-1).mean(-1)
        if "gradient_penalty" in inputs:
            slopes = self._slopes(torch.lerp(real, fake, inputs["mix"].to(real.dtype)), self._score)
            penalty = penalty + inputs["gradient_penalty"] * (slopes.norm(dim=-1) - 1).square().mean(-1)
        return penalty

    def _slopes(self, x: Tensor, scores: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the gradient of D at every sample, `(*lead, N, D)`."""
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(scores(x).sum(), x, create_graph=True)
        return gradient.flatten(self._axis + 1)

    @torch.no_grad()
    def _average(self, weight: Tensor) -> None:
        for averaged, now in self._averages:
            if now.is_floating_point():
                averaged.lerp_(now, _columns(weight, now))
            else:
                averaged.copy_(now)

    def _total(self) -> Tensor:
        """Return a sum `(*lead)` over all that training changes, finite only if all of it is.

        A second moment that overflows leaves the weights finite but stuck: they would never move again. Nor
        do running statistics that overflow stop G's training, but the averaged generator makes nothing then.
        """
        parts = [self.g.vector, self.d.vector, self.g.moments["exp_avg_sq"], self.d.moments["exp_avg_sq"]]
        parts += [buffer for buffer in self.g_ema.buffers if buffer.is_floating_point()]
        return torch.stack([part.flatten(self._axis).sum(-1).double() for part in parts]).sum(0)

    @torch.no_grad()
    def _copy(self, members: Sequence[GANTrainer], *, back: bool) -> None:
        """Copy all state from the members, or `back` to them; one GAN trains on its own tensors."""
        if not self.lead:
            return
        stack = changed_tensors(self.g.network, self.d.network, self.g_ema, self.g.moments, self.d.moments)
        parts = [trainer.parts() for trainer in members]
        for part, tensors in stack.items():
            for name, whole in tensors.items():
                rows = [own[part][name] for own in parts]
                if back:
                    for row, own in zip(whole, rows, strict=True):
                        own.copy_(row)
                else:
                    torch.stack(rows, out=whole)


def _columns(values: Tensor, like: Tensor) -> Tensor:
    """Return one value a GAN in a shape that meets `like`, whose leading axes are those of `values`."""
    return values.view(*values.shape, *(1,) * (like.ndim - values.ndim))
