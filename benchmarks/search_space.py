"""What a search for the best fixed settings and the best schedule may choose: one table of dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines import TunedSchedule

Genes = NDArray[np.float64]
"""Positions of a candidate's free numbers between their limits, in [0, 1]."""


@dataclass(frozen=True)
class Dimension:
    """A setting, where it is searched, and how it may fall."""

    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    p_off: float = 0.0
    """Share of the candidates in which it is 0."""
    forms: tuple[str, ...] = ()
    """How a schedule may let it fall, names in `agents.baselines.rule.FORMS`; it stays where there are
    none."""
    logarithmic: bool = True
    """Whether it is searched on a logarithmic scale."""

    def scaled(self, scale: float) -> Dimension:
        """Return the same dimension with its limits multiplied."""
        return Dimension(self.low * scale, self.high * scale, self.p_off, self.forms, self.logarithmic)

    def value(self, position: float) -> float:
        """Return the value at a position in [0, 1], to three digits; positions beyond are cut."""
        position = min(max(position, 0.0), 1.0)
        if self.logarithmic:
            return float(f"{self.low * (self.high / self.low) ** position:.3g}")
        return float(f"{self.low + (self.high - self.low) * position:.3g}")

    def position(self, value: float) -> float:
        """Return the position of a value."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


_RATE = ("constant", "cosine", "linear", "step", "hold")
_REGULARISER = ("constant", "cosine", "linear", "hold")

SPACE: dict[str, Dimension] = {
    "g_lr": Dimension(1e-4, 2e-2, forms=_RATE),
    "d_lr": Dimension(1e-4, 2e-2, forms=_RATE),
    "instance_noise": Dimension(0.02, 1.0, p_off=0.2, forms=_REGULARISER),
    "beta1": Dimension(0.0, 0.95, logarithmic=False),
    "r1_gamma": Dimension(1e-3, 30.0, p_off=0.5, forms=_REGULARISER),
    "augment_p": Dimension(0.03, 1.0, p_off=0.6, forms=_REGULARISER),
    "reward_weight": Dimension(0.05, 1.0, p_off=0.6, forms=_REGULARISER),
}
"""Settings by name. `d_steps` is not searched: all train for equally many updates of the generator, and it
would buy more of the discriminator's. Update ratios are the business of `update_ratio`."""
END = Dimension(0.003, 0.5, p_off=0.3)
"""Share of its start that a setting falls to."""


@dataclass(frozen=True)
class Candidate:
    """A schedule; one without forms is a set of fixed settings."""

    values: Mapping[str, float]
    """Start values by name."""
    forms: Mapping[str, tuple[str, float]]
    """By setting, how it falls and the share it ends at."""

    @property
    def agent(self) -> TunedSchedule:
        """The baseline that follows it."""
        return TunedSchedule(self.values, self.forms)

    def as_dict(self, *, scheduled: bool) -> dict[str, Any]:
        """Return what `tuned.json` holds of it."""
        forms = {name: list(form) for name, form in self.forms.items()}
        return {"values": dict(self.values)} | ({"forms": forms} if scheduled else {})


def draw(rng: np.random.Generator, space: Mapping[str, Dimension], *, scheduled: bool) -> Candidate:
    """Draw a candidate, its forms too if it is `scheduled`."""
    values, forms = {}, {}
    for name, dimension in space.items():
        off, position, end_off, end = rng.uniform(size=4)
        values[name] = 0.0 if off < dimension.p_off else dimension.value(position)
        if not (scheduled and dimension.forms):
            continue
        form = str(rng.choice(dimension.forms))
        if values[name] > 0 and form != "constant":
            forms[name] = form, 0.0 if end_off < END.p_off else END.value(end)
    return Candidate(values, forms)


def encode(candidate: Candidate, space: Mapping[str, Dimension]) -> Genes:
    """Return the free numbers of a candidate: what is off stays off, and forms stay what they are."""
    starts = [space[name].position(value) for name, value in candidate.values.items() if value > 0]
    ends = [END.position(end) for _, end in candidate.forms.values() if end > 0]
    return np.array(starts + ends)


def decode(genes: Genes, like: Candidate, space: Mapping[str, Dimension]) -> Candidate:
    """Return the candidate with these free numbers, otherwise `like` another."""
    numbers = iter(genes.tolist())
    values = {
        name: space[name].value(next(numbers)) if value > 0 else 0.0 for name, value in like.values.items()
    }
    forms = {
        name: (form, END.value(next(numbers)) if end > 0 else 0.0) for name, (form, end) in like.forms.items()
    }
    return Candidate(values, forms)
