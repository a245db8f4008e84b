"""The hyperparameters an agent turns: one table for the action space, the update rule and the manual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gan_gym.names import lookup

DEAD_ZONE = 0.01
"""Actions closer to 0 than this keep a knob where it is (a discretised space has its centre near 0)."""


@dataclass(frozen=True)
class Knob:
    """A positive hyperparameter that an action multiplies."""

    name: str
    """Name of the field of `gan.Settings` it sets."""
    low: float
    """Smallest value; for a knob that can be off, the value that stands for 0."""
    high: float
    """Largest value."""
    max_factor: float
    """An action of 1 multiplies, an action of -1 divides by this."""
    meaning: str
    """One line for the documentation."""
    can_be_off: bool = False
    """Whether `low` stands for 0, so that a multiplicative move can turn the knob off and on again."""

    def scaled(self, scale: float) -> Knob:
        """Return the same knob with its limits multiplied."""
        return replace(self, low=self.low * scale, high=self.high * scale)

    def position(self, value: float) -> float:
        """Return where `value` lies on the logarithmic scale from `low` (-1) to `high` (1), clipped."""
        value = min(max(value, self.low), self.high)
        return 2 * math.log(value / self.low) / math.log(self.high / self.low) - 1

    def move(self, value: float, action: float) -> float:
        """Return the value after an action in [-1, 1]; a knob that can be off and ends at `low` becomes 0."""
        if abs(action) < DEAD_ZONE:
            return value
        moved = min(max(max(value, self.low) * self.max_factor**action, self.low), self.high)
        return 0.0 if self.can_be_off and moved <= self.low else moved


KNOBS: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob("g_lr", 1e-6, 2e-2, 32.0, "Adam learning rate of the generator"),
        Knob("d_lr", 1e-6, 2e-2, 32.0, "Adam learning rate of the discriminator"),
        Knob(
            "instance_noise", 0.01, 1.0, 16.0, "std of noise on all D sees, stds of the data", can_be_off=True
        ),
        Knob("reward_weight", 0.05, 1.0, 2.0, "weight of the similarity in D's fake term", can_be_off=True),
        Knob("r1_gamma", 1e-3, 100.0, 8.0, "weight of the R1 gradient penalty", can_be_off=True),
        Knob("d_steps", 1.0, 8.0, 2.0, "D updates per G update, rounded"),
        Knob("augment_p", 0.01, 1.0, 4.0, "probability of augmenting what D sees", can_be_off=True),
        Knob("beta1", 0.05, 0.95, 8.0, "Adam first-moment decay of both networks", can_be_off=True),
        Knob("g_update_ratio", 1e-5, 0.1, 32.0, "relative weight change per step of G; sets g_lr"),
        Knob("d_update_ratio", 1e-5, 0.1, 32.0, "relative weight change per step of D; sets d_lr"),
    )
}
"""All knobs by name."""

IMAGE_SCALE = dict.fromkeys(("g_lr", "d_lr", "g_update_ratio", "d_update_ratio"), 0.1)
"""Factors on the limits for convolutional networks, whose useful rates are a tenth of those of small MLPs."""

DEFAULT_KNOBS = ("g_lr", "d_lr", "r1_gamma", "beta1")
"""Learning rates alone are not enough: without a regularising knob no policy recovers the modes, and a start
with the wrong beta1 costs a quarter of the quality. The R1 penalty does what instance noise does in short
runs, and in long ones far more (docs/controllers.md). Moves are large, so that a controller leaves the worst
start in two decisions."""


def resolve(names: Sequence[str]) -> tuple[Knob, ...]:
    """Return the named knobs in the order given.

    Raises:
        ValueError: if a name is unknown or repeated, none is given, or a learning rate is asked for beside
            the update ratio that sets it.
    """
    if isinstance(names, str):
        names = (names,)
    if not names:
        raise ValueError("knobs is empty; name at least one, for example ('g_lr', 'd_lr')")
    chosen = tuple(lookup(KNOBS, name, "knob") for name in names)
    if len(set(names)) < len(names):
        raise ValueError(f"knobs {tuple(names)} name one twice; name each once")
    for network in ("g", "d"):
        if {f"{network}_lr", f"{network}_update_ratio"} <= set(names):
            raise ValueError(
                f"knobs name {network}_lr and {network}_update_ratio, which sets it; leave one of them out"
            )
    return chosen


def apply(
    knobs: Sequence[Knob], values: Mapping[str, float], action: NDArray[np.float32]
) -> dict[str, float]:
    """Return the values of `knobs` after an action, one component a knob.

    Raises:
        ValueError: if the action has another shape, is not finite, or leaves [-1, 1].
    """
    action = np.asarray(action, dtype=np.float32)
    if action.shape != (len(knobs),):
        raise ValueError(f"action has shape {action.shape}; give {(len(knobs),)}, one component a knob")
    if not np.isfinite(action).all() or np.abs(action).max() > 1:
        raise ValueError(f"action {action.tolist()} leaves [-1, 1]; clip it to the action space")
    return {knob.name: knob.move(values[knob.name], float(a)) for knob, a in zip(knobs, action, strict=True)}
