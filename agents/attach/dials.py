"""The knobs that can be turned from outside a loop, and where each of them sits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.attach.disturbance import Disturbance
from agents.attach.optimizers import TurnedOptimizer
from agents.attach.penalty import Penalty
from gan_gym.knobs import IMAGE_SCALE, Knob, resolve


@dataclass(frozen=True)
class Dial:
    """Where a knob sits."""

    owners: tuple[str, ...]
    """What it is set on; it is read from the first."""
    attribute: str
    """Name of the property."""


DIALS: dict[str, Dial] = {
    "g_lr": Dial(("g",), "lr"),
    "d_lr": Dial(("d",), "lr"),
    "g_update_ratio": Dial(("g",), "update_ratio"),
    "d_update_ratio": Dial(("d",), "update_ratio"),
    "beta1": Dial(("g", "d"), "beta1"),
    "instance_noise": Dial(("seen",), "instance_noise"),
    "augment_p": Dial(("seen",), "augment_p"),
    "r1_gamma": Dial(("penalty",), "r1_gamma"),
}
"""By name of the knob. `g` and `d` are the optimizers, `seen` is what D sees, `penalty` what is added to its
gradients; other knobs sit in the code of a loop: the number of D's steps, and its loss."""
Owner = TurnedOptimizer | Disturbance | Penalty


def check_knobs(names: Sequence[str], *, sees_discriminator: bool) -> None:
    """Check that the knobs of a controller can be turned.

    Raises:
        ValueError: if one of them cannot; the message holds the remedy.
    """
    inside = [name for name in names if name not in DIALS]
    if inside:
        raise ValueError(
            f"this controller turns {', '.join(inside)}, which only your loop itself could; use one that "
            "turns others: gan-gym fit-controller --knobs g_lr,d_lr,instance_noise"
        )
    needing = owned(names, "seen") + owned(names, "penalty")
    if needing and not sees_discriminator:
        raise ValueError(
            f"this controller turns {', '.join(needing)}; pass discriminator=, the module whose inputs are "
            "to be disturbed or whose slopes penalised, or use one without: gan-gym fit-controller --knobs "
            "g_lr,d_lr"
        )


def owned(names: Sequence[str], owner: str) -> list[str]:
    """Return which of these knobs sit on an owner."""
    return [name for name in names if owner in DIALS[name].owners]


class Dials:
    """The knobs of a controller in a loop; see `check_knobs`.

    Args:
        names: the controller's knobs.
        g: the generator's optimizer.
        d: the discriminator's optimizer.
        seen: what disturbs the discriminator's inputs; `None` if no knob needs it.
        penalty: what penalises its slopes; `None` if no knob needs it.
    """

    def __init__(
        self,
        names: Sequence[str],
        g: TurnedOptimizer,
        d: TurnedOptimizer,
        seen: Disturbance | None,
        penalty: Penalty | None,
    ) -> None:
        self._knobs = resolve(names)
        self._owners: dict[str, Owner | None] = {"g": g, "d": d, "seen": seen, "penalty": penalty}

    def values(self) -> dict[str, float]:
        """Return the knobs' values now, by name."""
        dials = {knob.name: DIALS[knob.name] for knob in self._knobs}
        return {name: getattr(self._owners[dial.owners[0]], dial.attribute) for name, dial in dials.items()}

    @property
    def are_known(self) -> bool:
        """Whether all can be read: update ratios only after the optimizers' first measured steps."""
        return all(value > 0 for name, value in self.values().items() if name.endswith("_update_ratio"))

    def turn(self, values: Mapping[str, float]) -> None:
        """Set the knobs."""
        for name, value in values.items():
            for owner in DIALS[name].owners:
                setattr(self._owners[owner], DIALS[name].attribute, value)

    def knobs(self, shape: Sequence[int]) -> tuple[Knob, ...]:
        """Return the knobs with the limits that hold for samples of this shape and these optimizers."""
        return tuple(knob.scaled(self._scale(knob.name, shape)) for knob in self._knobs)

    def _scale(self, name: str, shape: Sequence[int]) -> float:
        owner = self._owners[DIALS[name].owners[0]]
        scale = owner.kind.lr_scale if isinstance(owner, TurnedOptimizer) and name.endswith("_lr") else 1.0
        return scale * (IMAGE_SCALE.get(name, 1.0) if len(shape) > 1 else 1.0)
