"""Baselines that follow the share of the budget that is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.acting import State
from agents.baselines.rule import FORMS, ExactRule, Settings, cosine, rates
from agents.baselines.tuned import tuned
from gan_gym.gan import family

STARTS = {"points": (0.04, 0.22), "images": (0.01, 0.25)}
"""Relative weight change per step, and instance noise in standard deviations of the data, that `UpdateRatio`
starts with, by family."""
COSINE_TO_0 = dict.fromkeys(("g_lr", "d_lr", "instance_noise"), ("cosine", 0.0))
"""How a schedule falls that says nothing else."""
SMALLEST_RATIO = 1e-8
"""An update ratio of 0 would hand the learning rates back to what they were."""


@dataclass(frozen=True)
class Cosine(ExactRule):
    """Both learning rates from their starting values to 0 along half a cosine.

    Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts. The state holds the starting values.
    """

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the rates for the share of the budget that is left."""
        start = state or {"g_lr": info["g_lr"], "d_lr": info["d_lr"]}
        share = cosine(info["progress_remaining"])
        return rates(start["g_lr"] * share, start["d_lr"] * share), start


@dataclass(frozen=True)
class UpdateRatio(ExactRule):
    """Hold the relative weight change per step of both networks on a cosine to 0, and anneal instance noise.

    This project's own rule; it asks nothing of the start. Measured good regions at the start of a run: 0.04
    for MLP GANs on points (learning rates near 8e-3) and 0.01 for the light convolutional pair on patches
    (near 5e-4). Adam's first-moment decay is set too: at 0.9 steps follow each other so straight that a fixed
    relative change makes the weights, and with them the learning rates, grow without end.
    """

    ratio: float | None = None
    """Relative weight change per step at the start; `None` takes that of `STARTS`."""
    instance_noise: float | None = None
    """Instance noise at the start, standard deviations of the data; `None` as above."""
    beta1: float = 0.5
    """Adam's first-moment decay."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return ratios and noise for the share of the budget that is left."""
        share = cosine(info["progress_remaining"])
        ratio, noise = STARTS[family(info["networks"])]
        ratio = max((ratio if self.ratio is None else self.ratio) * share, SMALLEST_RATIO)
        noise = (noise if self.instance_noise is None else self.instance_noise) * share
        ratios = {"g_update_ratio": ratio, "d_update_ratio": ratio}
        return {**ratios, "instance_noise": noise, "beta1": self.beta1}, state


@dataclass(frozen=True)
class TunedConstant(ExactRule):
    """The best fixed settings that were found, whatever a run starts with.

    The shipped ones are in `agents/pretrained/tuned.json`: one set for MLP GANs, with the command, budget and
    instances of its search (`python -m benchmarks.tune`), and one for images, found by hand.
    """

    values: Mapping[str, float] | None = None
    """Settings by name; `None` takes the shipped ones for the networks in training."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the fixed settings."""
        return _exact(self.values or tuned("tuned_constant", info["networks"])["values"]), state


@dataclass(frozen=True)
class TunedSchedule(ExactRule):
    """The best schedule a search has found: each setting falls from its start by a form of its own.

    Shipped and searched like `TunedConstant`'s settings.
    """

    values: Mapping[str, float] | None = None
    """Start values by name; `None` takes the shipped ones for the networks in training, and their forms."""
    forms: Mapping[str, tuple[str, float]] = field(default_factory=lambda: dict(COSINE_TO_0))
    """By setting, a name in `FORMS` and the share of the start value that it ends at; others stay."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the settings for the share of the budget that is left."""
        values, forms = self.values, self.forms
        if values is None:
            found = tuned("tuned_schedule", info["networks"])
            values, forms = found["values"], found.get("forms", forms)
        now = dict(values)
        for name, (form, end) in forms.items():
            now[name] = values[name] * (end + (1 - end) * FORMS[form](info["progress_remaining"]))
        return _exact(now), state


def _exact(values: Mapping[str, float]) -> Settings:
    return {**values, **rates(values["g_lr"], values["d_lr"])}
