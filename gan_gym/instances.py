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


@dataclass(frozen=True)
class Distribution:
    """A distribution of instances."""

    lr: tuple[float, float] | None
    """Range of both learning rates, drawn log-uniformly and independently; `None` keeps the defaults."""
    beta1: tuple[float, ...] = ()
    """Values of `beta1` drawn uniformly."""
    losses: tuple[str, ...] = ()
    """Losses drawn uniformly; empty keeps the environment's own."""


INSTANCES: dict[str, Distribution] = {
    "default": Distribution(lr=None),
    "train": Distribution(lr=(1e-5, 1e-2), beta1=(0.0, 0.5, 0.9), losses=("non_saturating", "hinge")),
    "test": Distribution(lr=(1e-5, 1e-2), beta1=(0.0, 0.5, 0.9), losses=("non_saturating", "hinge")),
}
"""`default`: the user's own setting, a fresh seed. `train` and `test`: equal ranges, disjoint seeds."""

_SPLIT = {name: index for index, name in enumerate(INSTANCES)}


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
    # the seed's residue is the split, so no test instance can ever be met in training
    seed = int(rng.integers(2**40)) * len(_SPLIT) + _SPLIT[name]
    chosen = dict(settings)
    if distribution.lr is not None:
        low, high = np.log(distribution.lr)
        for network in ("g", "d"):
            ratio = f"{network}_update_ratio"
            target = ratio if ratio in knobs else f"{network}_lr"
            chosen[target] = float(np.exp(rng.uniform(low, high)))
    if distribution.beta1:
        chosen["beta1"] = float(rng.choice(distribution.beta1))
    if distribution.losses:
        loss = str(rng.choice(distribution.losses))
    return Instance(seed, loss, chosen)


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
