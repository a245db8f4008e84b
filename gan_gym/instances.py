"""Starting conditions drawn at reset: what makes control necessary is not knowing the right settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from gan_gym.knobs import KNOBS
from gan_gym.names import unknown


@dataclass(frozen=True)
class Instance:
    """One GAN training problem."""

    seed: int
    """Seed of the GAN's weights, data order and noise."""
    loss: str
    """A name in `gan.LOSSES`."""
    settings: Mapping[str, float]
    """Starting values by name, fields of `gan.Settings`."""


Range = tuple[float, float]


@dataclass(frozen=True)
class Distribution:
    """A distribution of instances."""

    lr: tuple[Range, ...] = ()
    """Ranges of both learning rates, each drawn independently: a range at random, then log-uniformly within
    it; empty keeps the defaults."""
    beta1: tuple[float, ...] = ()
    """Values of `beta1` drawn uniformly; empty keeps the environment's own."""
    losses: tuple[str, ...] = ()
    """Losses drawn uniformly; empty keeps the environment's own."""


_BETA1, _LOSSES = (0.0, 0.5, 0.9), ("non_saturating", "hinge")

INSTANCES: dict[str, Distribution] = {
    "default": Distribution(),
    "train": Distribution(((1e-5, 1e-2),), _BETA1, _LOSSES),
    "test": Distribution(((1e-5, 1e-2),), _BETA1, _LOSSES),
    "inside": Distribution(((1e-4, 1e-3),), _BETA1, _LOSSES),
    "edge": Distribution(((1e-5, 1e-4), (1e-3, 1e-2)), _BETA1, _LOSSES),
    "outside": Distribution(((1e-6, 1e-5), (1e-2, 2e-2)), (0.3, 0.7), _LOSSES),
    "unseen_losses": Distribution(((1e-5, 1e-2),), _BETA1, ("least_squares", "wgan_gp", "relativistic")),
    "validation": Distribution(((1e-5, 1e-2),), _BETA1, _LOSSES),
}
"""`default`: the user's own setting, a fresh seed. `train`, `validation` (to choose a controller by) and
`test`: equal ranges. The others are for tests
alone, and lie to `train` as their names say: both rates in its middle decade (`inside`), both in its outer
decades (`edge`), both where it never is, with values of beta1 it never draws (`outside`), or its rates and
beta1 with losses it never draws (`unseen_losses`). No seed is in two distributions."""

_SPLIT = {name: index for index, name in enumerate(INSTANCES)}
_PER_BLOCK = 3
"""Distributions whose seeds lie between each other's; the next ones' begin where theirs end."""


def draw(
    name: str,
    rng: np.random.Generator,
    *,
    loss: str,
    settings: Mapping[str, float],
    knobs: Sequence[str] = (),
) -> Instance:
    """Draw an instance.

    Args:
        name: a key of `INSTANCES`.
        rng: private generator; the draw uses no other.
        loss: loss kept where the distribution names none.
        settings: settings kept where the distribution draws none.
        knobs: names of the knobs an agent turns; an update ratio among them is drawn in place of its learning
            rate.
    """
    distribution = INSTANCES[name]
    # the seed tells the distribution, so no test instance can ever be met in training
    block, residue = divmod(_SPLIT[name], _PER_BLOCK)
    seed = (block * 2**40 + int(rng.integers(2**40))) * _PER_BLOCK + residue
    chosen = dict(settings)
    if distribution.lr:
        for network in ("g", "d"):
            ratio = f"{network}_update_ratio"
            target = ratio if ratio in knobs else f"{network}_lr"
            chosen[target] = _log_uniform(distribution.lr, rng)
    if distribution.beta1:
        chosen["beta1"] = float(rng.choice(distribution.beta1))
    if distribution.losses:
        loss = str(rng.choice(distribution.losses))
    return Instance(seed, loss, chosen)


def _log_uniform(ranges: Sequence[Range], rng: np.random.Generator) -> float:
    """Draw one of the ranges, and a number in it log-uniformly, by one uniform number."""
    index, share = divmod(rng.uniform(0, len(ranges)), 1)
    low, high = np.log(ranges[int(index)])
    return float(np.exp(low + (high - low) * share))


def check_name(name: str) -> None:
    """Check the name of a distribution.

    Raises:
        ValueError: if it is unknown; the message holds the nearest known one.
    """
    if name not in INSTANCES:
        raise ValueError(unknown(name, INSTANCES, "instances"))


def check_options(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the settings that `reset(options=...)` asks for.

    Raises:
        ValueError: if an option is no setting or its value is no number in the knob's range.
    """
    settings = {}
    for name, value in options.items():
        if name not in KNOBS:
            raise ValueError(unknown(name, [*KNOBS, "snapshot"], "reset option"))
        knob = KNOBS[name]
        allowed_low = 0.0 if knob.can_be_off else knob.low
        if not isinstance(value, Real) or not allowed_low <= float(value) <= knob.high:
            raise ValueError(
                f"reset option {name} is {value!r}; give a number in [{allowed_low:g}, {knob.high:g}]"
            )
        settings[name] = float(value)
    return settings
