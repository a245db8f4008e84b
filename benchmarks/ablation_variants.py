"""What is taken from a controller, or given to it, to see what each thing is worth: one table of variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gan_gym.knobs import DEFAULT_KNOBS, KNOBS
from gan_gym.names import unknown
from gan_gym.observations import GROUPS

FULL = "full"
"""The variant that all others are compared with: the default knobs, all observations, whole moves."""
QUESTIONS: dict[str, str] = {
    "knobs": "which knobs",
    "observations": "which observations",
    "moves": "how large a move may be",
    "decisions": "how many decisions a GAN",
}
"""What the variants are to answer."""


@dataclass(frozen=True)
class Variant:
    """A controller that differs from the full one in one thing."""

    question: str
    """Key of `QUESTIONS`."""
    change: str
    """What differs, one line."""
    knobs: tuple[str, ...] = DEFAULT_KNOBS
    """Knobs it turns."""
    hidden: tuple[str, ...] = ()
    """Groups of observations that it does not see."""
    max_factor: float | None = None
    """Most that a move multiplies or divides any knob by; `None` is each knob's own."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the environment."""


def _without(knob: str) -> Variant:
    rest = tuple(name for name in DEFAULT_KNOBS if name != knob)
    return Variant("knobs", f"{knob} stays as it starts", knobs=rest)


def _unseen(*seen: str) -> tuple[str, ...]:
    """Return the groups hidden from what sees the time, its knobs, and these alone."""
    return tuple(group for group in GROUPS if group not in ("time", "positions", "last_actions", *seen))


_RATIOS = ("g_update_ratio", "d_update_ratio")
_RATES = ("g_lr", "d_lr")
_OTHERS = tuple(name for name in KNOBS if name not in (*DEFAULT_KNOBS, *_RATES, *_RATIOS))
_FEEDBACK = ("losses", "scores", "gradients", "similarity")
N_INNER_STEPS = 1000
"""Inner steps of a GAN in the environments of points: 40 decisions, 25 to each."""

VARIANTS: dict[str, Variant] = {
    FULL: Variant("knobs", "default knobs, all observations, whole moves, 40 decisions"),
    "rates_only": Variant("knobs", "turns both learning rates alone", knobs=_RATES),
    **{f"no_{name}": _without(name) for name in DEFAULT_KNOBS},
    **{
        f"with_{name}": Variant("knobs", f"turns {name} too", knobs=(*DEFAULT_KNOBS, name))
        for name in _OTHERS
    },
    "update_ratios": Variant(
        "knobs",
        "update ratios in place of learning rates",
        knobs=(*_RATIOS, *(name for name in DEFAULT_KNOBS if name not in _RATES)),
    ),
    **{f"no_{group}": Variant("observations", f"without {group}", hidden=(group,)) for group in GROUPS},
    "schedule": Variant("observations", "sees time and its knobs alone", hidden=_unseen()),
    **{
        f"schedule_and_{group}": Variant(
            "observations", f"sees time, its knobs, and {group}", hidden=_unseen(group)
        )
        for group in _FEEDBACK
    },
    **{
        f"factor_{factor}": Variant("moves", f"moves by a factor of {factor} at most", max_factor=factor)
        for factor in (2, 4, 8)
    },
    **{
        f"decisions_{n}": Variant(
            "decisions",
            f"{n} decisions of {N_INNER_STEPS // n} inner steps",
            kwargs={"episode_steps": n, "inner_steps": N_INNER_STEPS // n},
        )
        for n in (10, 20, 100)
    },
}
"""Variants by name. Observations are asked about from both sides, as what one group says another may say too:
what is lost without it, and what it adds to a policy that sees time and its knobs alone. `decisions`: GANs
are trained for equally many inner steps; as all controllers learn from equally many decisions, those of few
decisions see more GANs as they learn."""


def chosen(names: Sequence[str], imitated: str | None = None) -> dict[str, Variant]:
    """Return the variants of these names or questions (all, where there are none), the full one first.

    Where a baseline is imitated, which sets learning rates, `update_ratios` is not among all.

    Raises:
        ValueError: if a name is unknown; the message holds the nearest known one.
    """
    for name in names:
        if name not in VARIANTS and name not in QUESTIONS:
            raise ValueError(unknown(name, [*VARIANTS, *QUESTIONS], "variant"))
    return {
        name: variant
        for name, variant in VARIANTS.items()
        if name in (FULL, *names)
        or variant.question in names
        or (not names and not (imitated and set(_RATIOS) & set(variant.knobs)))
    }
