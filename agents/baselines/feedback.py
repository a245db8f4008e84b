"""Baselines that react to the losses or to the discriminator's signs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.acting import State
from agents.baselines.rule import ExactRule, Settings, rates
from gan_gym.gan import LOSSES


@dataclass(frozen=True)
class GapAware(ExactRule):
    """Scale D's learning rate by how far D's loss is from its ideal value V*.

    Hazimeh & Ponomareva 2023, arXiv 2302.00089, with its constants; the base rate is D's starting one. With
    x = |loss - V*|, a loss of at least V* scales by min(f_max^(x / x_max), f_max), a smaller one by
    max(h_min^(x / x_min), h_min). Their loss is an exponential moving average over training steps; ours,
    over the means of blocks of inner steps. For the Wasserstein loss, whose V* is 0, x_min = x_max = 0.1.
    """

    h_min: float = 0.1
    """Smallest factor."""
    f_max: float = 2.0
    """Largest factor."""
    width: float = 0.1
    """x_min and x_max, in units of V*."""
    decay: float = 0.5
    """Weight of the past in the average over blocks; ours, as a block already averages tens of steps."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return D's scaled learning rate; nothing before the first block of inner steps."""
        start = state or {"g_lr": info["g_lr"], "d_lr": info["d_lr"], "d_loss": None}
        if info["env_step"] == 0:
            return {}, start
        before, now = start["d_loss"], info["d_loss"]
        d_loss = now if before is None else self.decay * before + (1 - self.decay) * now
        factor = self.factor(d_loss, info["loss"])
        return rates(start["g_lr"], start["d_lr"] * factor), {**start, "d_loss": d_loss}

    def factor(self, d_loss: float, loss: str) -> float:
        """Return what D's base rate is multiplied by at this loss of D."""
        ideal = LOSSES[loss].equilibrium
        x = abs(d_loss - ideal) / (self.width * LOSSES[loss].scale)
        if d_loss >= ideal:
            return float(self.f_max ** min(x, 1.0))
        return float(self.h_min ** min(x, 1.0))


@dataclass(frozen=True)
class ADA(ExactRule):
    """Adaptive discriminator augmentation: more of it while D is sure of real data.

    Karras et al. 2020, arXiv 2006.06676: every four batches, p += sign(r_t - 0.6) * 4 * batch / 500,000 with
    r_t = E sign D(real), p >= 0. Here once an env step, by as much as the published rule moves over the
    images seen since; p <= 1. At the published speed p needs 500,000 images from 0 to 1, longer than most
    runs here last.
    """

    target: float = 0.6
    """r_t above which augmentation grows."""
    n_images_full: int = 500_000
    """Images over which p grows from 0 to 1."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the probability of augmentation; nothing before the first block of inner steps."""
        last = state or {"n_images": info["n_images"]}
        after = {"n_images": info["n_images"]}
        if info["env_step"] == 0:
            return {}, after
        sign = float(np.sign(info["sign_real"] - self.target))
        p = info["augment_p"] + sign * (info["n_images"] - last["n_images"]) / self.n_images_full
        return {"augment_p": min(max(p, 0.0), 1.0)}, after


@dataclass(frozen=True)
class LossBalance(ExactRule):
    """Let the network with the larger loss learn faster.

    In the spirit of FSCO (arXiv 2504.15099), whose agent is rewarded by -|G loss - D loss| and turns D's
    rate; the rule is this project's own. With gap = tanh((G loss - D loss) / scale), the scale being the
    loss's own (D's loss at equilibrium), G's starting rate is multiplied by max_factor^gap and D's by
    max_factor^-gap.
    """

    max_factor: float = 2.0
    """Largest factor on a starting rate."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return both learning rates; nothing before the first block of inner steps."""
        start = state or {"g_lr": info["g_lr"], "d_lr": info["d_lr"]}
        if info["env_step"] == 0:
            return {}, start
        gap = math.tanh((info["g_loss"] - info["d_loss"]) / LOSSES[info["loss"]].scale)
        factor = self.max_factor**gap
        return rates(start["g_lr"] * factor, start["d_lr"] / factor), start
