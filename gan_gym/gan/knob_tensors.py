"""The settings of one GAN or of many as tensors on the device, read by an inner step without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gan_gym.gan.draws import Draws

if TYPE_CHECKING:
    from gan_gym.gan.trainer import GANTrainer

MAX_DERIVED_LR = 0.02
"""Largest learning rate that an update ratio may set: weights that grow with it would otherwise run away."""


def learnt_gain(update: Tensor, weight: Tensor, rate: Tensor, old: Tensor) -> Tensor:
    """Return the relative weight change that a unit of learning rate makes, after one more measurement.

    Args:
        update: norm of the weight change of a measured step.
        weight: norm of the weights before it.
        rate: the learning rates of its updates, added up.
        old: what was known before; the geometric mean with it damps what single steps say.
    """
    gain = (update / weight) / rate
    return torch.where(gain.isfinite() & (gain > 0), (gain * old).sqrt(), old)


class KnobTensors:
    """What the updates of one block of inner steps read, `(*lead)` each.

    Args:
        members: one GAN or more; their settings stay as they are during a block.
        lead: `()` for one, `(n,)` for more.
        n_steps: inner steps of the block.
    """

    def __init__(self, members: Sequence[GANTrainer], lead: tuple[int, ...], n_steps: int) -> None:
        self.members, self.lead = members, lead
        self._device, self._dtype = members[0].device, members[0].g.vector.dtype
        settings = [t.settings for t in members]
        self.n_updates = [round(s.d_steps) for s in settings]
        self._active = [
            None if update < min(self.n_updates) else self._column([update < n for n in self.n_updates]) > 0
            for update in range(max(self.n_updates))
        ]
        self.relativistic = any(t.loss.relativistic for t in members)
        losses = list(dict.fromkeys(t.config.loss for t in members))
        self._is_loss = {
            f"is_{name}": self._column([t.config.loss == name for t in members]) > 0 for name in losses
        }
        self._beta1 = self._column([s.beta1 for s in settings])
        self._lr = {
            "g": self._column([s.g_lr for s in settings]),
            "d": self._column([s.d_lr for s in settings]),
        }
        ratios = {"g": [s.g_update_ratio for s in settings], "d": [s.d_update_ratio for s in settings]}
        self._ratios = {name: self._column(asked) for name, asked in ratios.items() if any(asked)}
        self._gains = {name: self._column([t.gains[name] for t in members]) for name in self._ratios}
        self._n_updates = {"g": torch.ones((), device=self._device), "d": self._column(self.n_updates)}
        weights = [t.averaging_weight(i) for i in range(n_steps) for t in members]
        self._averaging_weights = self._column(weights, n_steps)
        self._seen = {
            name: self._column(values)
            for name, values in (
                ("augment_p", [s.augment_p for s in settings]),
                ("noise_std", [t.noise_std for t in members]),
                ("reward_weight", [s.reward_weight for s in settings]),
            )
            if any(values)
        }

    def _column(self, values: Sequence[float], *steps: int) -> Tensor:
        column = torch.tensor(values, dtype=self._dtype).view((*steps, *self.lead))
        if self._device.type == "cuda":
            column = column.pin_memory()
        return column.to(self._device, non_blocking=True)

    def _rate(self, side: str) -> Tensor:
        """Return learning rates, set by the update ratios where these are above 0."""
        if side not in self._ratios:
            return self._lr[side]
        derived = (self._ratios[side] / self._gains[side]).clamp_max(MAX_DERIVED_LR)
        return torch.where(self._ratios[side] > 0, derived, self._lr[side])

    def active(self, update: int) -> Tensor | None:
        """Return which GANs do this update of D, `None` for all."""
        return self._active[update]

    def of_discriminator(self) -> Draws:
        """Return what an update of D reads; gradient penalties only where one is due."""
        knobs = {"lr": self._rate("d"), "beta1": self._beta1, **self._is_loss, **self._seen}
        due = [t.config.penalty_every * t.penalty_due for t in self.members]
        r1 = [every * t.settings.r1_gamma / 2 for every, t in zip(due, self.members, strict=True)]
        r2 = [gamma * t.loss.relativistic for gamma, t in zip(r1, self.members, strict=True)]
        wgan = [every * t.loss.gradient_penalty for every, t in zip(due, self.members, strict=True)]
        penalties = {"r1": r1, "r2": r2, "gradient_penalty": wgan}
        return knobs | {name: self._column(values) for name, values in penalties.items() if any(values)}

    def of_generator(self, step: int) -> Draws:
        """Return what an update of G reads in a step of the block."""
        weight = self._averaging_weights[step]
        knobs = {"lr": self._rate("g"), "beta1": self._beta1, "averaging_weight": weight}
        return knobs | self._is_loss | self._seen

    def follow_update_ratios(self, norms: Sequence[Tensor]) -> None:
        """Learn what relative weight change a unit of learning rate makes, where update ratios are in force.

        Args:
            norms: gradient, update and weight norm of a measured step of G, then of D, `(*lead)` each.
        """
        for name, (_, update, weight) in (("g", norms[:3]), ("d", norms[3:])):
            if name in self._ratios:
                old = self._gains[name]
                learnt = learnt_gain(update, weight, self._rate(name) * self._n_updates[name], old)
                self._gains[name] = torch.where(self._ratios[name] > 0, learnt, old)

    def write_back(self) -> None:
        """Give the members what was learnt of their update ratios."""
        for name, gains in self._gains.items():
            for trainer, gain in zip(self.members, gains.view(-1).tolist(), strict=True):
                trainer.gains[name] = gain
