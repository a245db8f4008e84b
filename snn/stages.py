"""Stages of the multistage progressive fine-tuning, as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args, get_origin, get_type_hints

from snn.losses import check_loss, check_miner
from snn.names import brief, unknown_name

Unfreezing = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Stage:
    """One stage: which images, how long, and when which part of the backbone is unfrozen."""

    name: str
    """Shown in the history, its picture and the progress bar."""
    objective: Literal["siamese", "reconstruction"] = "siamese"
    """What is learned: pairs, or, without labels, the images themselves: the backbone and a decoder, which
    is thrown away after the stage, are trained as an autoencoder by the mean squared error of pixels. Loss,
    margin, temperature, miner, label weight and damaged views have no part in that."""
    source: Literal["regions", "patches"] = "patches"
    """Whole slides or regions resized (stage 1 of the paper), or patches (stage 2)."""
    n_steps: int = 200
    """Optimizer steps."""
    batch_size: int = 64
    """Images a step; each is seen in two views."""
    lr: float = 2e-3
    """Peak learning rate of the head or decoder (AdamW); it rises over the first tenth and falls to zero by a
    cosine."""
    layer_decay: float = 0.7
    """Each unit of the backbone learns by this factor slower than the one above it."""
    unfreeze: Unfreezing = ((0.0, 0.0), (0.25, 0.35), (0.5, 0.7), (0.75, 1.0))
    """(fraction of the steps, fraction of the backbone's units, from the head downwards) pairs: from that
    moment on that part is trained. The head or decoder always is. `((0.0, 1.0),)` trains everything from the
    start."""
    loss: str = "contrastive"
    """A name in `LOSSES`."""
    margin: float = 1.0
    """Margin of the contrastive and the triplet loss, a distance on the unit sphere."""
    temperature: float = 0.2
    """Temperature of NT-Xent and SupCon."""
    miner: str = ""
    """A name in `MINERS`, which chooses the pairs that the loss looks at; `""`: all of them."""
    label_weight: float = 0.1
    """Weight of the second term, the same loss on class labels where there are labels; 0 = instances only."""
    degraded: float = 0.5
    """Damaged views a batch, as a fraction of `batch_size`; they are dissimilar to everything."""
    shift: float = 0.5
    """Largest offset between windows of one image, as a fraction of its side."""
    flips: bool = True
    """Whether an image may be mirrored and turned."""
    stain_jitter: float = 0.05
    """Standard deviation of the relative strength of each stain."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            TypeError: naming the field, its value and the type that is needed.
            ValueError: naming the field, its value and what is allowed.
        """
        _check_types(self)
        where = f"stage {brief(self.name)}"
        if not self.name.strip() or not self.name.isprintable():
            raise ValueError(f"{where}: name={brief(self.name)}; give a name that can be printed on one line")
        check_loss(self.loss)
        check_miner(self.miner)
        least = {"n_steps": 1, "batch_size": 2, "lr": 0, "label_weight": 0, "degraded": 0, "stain_jitter": 0}
        for field, bound in least.items():
            if not bound <= getattr(self, field) < math.inf:
                raise ValueError(f"{where}: {field}={getattr(self, field)}; it must be at least {bound}")
        for field, most in {"layer_decay": 1, "margin": 2, "temperature": 10}.items():
            if not 0 < getattr(self, field) <= most:
                raise ValueError(f"{where}: {field}={getattr(self, field)}; it must be in (0, {most}]")
        if not 0 <= self.shift < 1:
            raise ValueError(f"{where}: shift={self.shift}; it must be in [0, 1)")
        if self.degraded > 1:
            raise ValueError(f"{where}: degraded={self.degraded}; it must be in [0, 1]")
        moments = [moment for moment, _ in self.unfreeze]
        inside = all(0 <= value <= 1 for pair in self.unfreeze for value in pair)
        if not moments or moments[0] != 0 or moments != sorted(moments) or not inside:
            raise ValueError(
                f"{where}: unfreeze={brief(self.unfreeze)}; give (moment, share) pairs in [0, 1] in "
                "rising order, the first at moment 0"
            )

    def unfrozen_share(self, step: int) -> float:
        """Return the share of the backbone's units that is trained at `step`."""
        return [share for moment, share in self.unfreeze if step >= moment * self.n_steps][-1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_unfreezing(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_number, pair)) for pair in value
    )


_TYPES: dict[object, tuple[Callable[[object], bool], str]] = {
    str: (lambda value: isinstance(value, str), "text"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a number"),
    Unfreezing: (_is_unfreezing, "pairs of numbers, such as [[0, 0], [0.5, 1]]"),
}


def _check_types(stage: Stage) -> None:
    """Raise where a field has not the type of its annotation; a whole number is a number too."""
    where = f"stage {brief(stage.name)}"
    for name, hint in get_type_hints(Stage).items():
        value = getattr(stage, name)
        fits, wanted = _TYPES.get(hint, _TYPES[str])
        if not fits(value):
            raise TypeError(f"{where}: {name}={brief(value)}; give {wanted}")
        if get_origin(hint) is Literal and value not in get_args(hint):
            raise unknown_name(f"{name} of {where}", value, get_args(hint))


SOON: Unfreezing = ((0.0, 0.0), (0.1, 0.35), (0.2, 0.7), (0.3, 1.0))
"""Everything is trained after three tenths of the steps."""

_PATCHES = Stage(
    "patches", n_steps=250, batch_size=48, lr=4e-3, layer_decay=0.9, degraded=0.75, unfreeze=SOON
)

DEFAULT_STAGES = (
    replace(_PATCHES, name="regions", source="regions", n_steps=80, batch_size=24),
    _PATCHES,
)
"""Stage 1 on resized slides or regions, stage 2 on patches, gradual unfreezing within each."""

QUICK_STAGES = (
    Stage("regions", source="regions", n_steps=20, batch_size=16, lr=5e-4, unfreeze=((0.0, 0.0), (0.5, 0.5))),
    Stage("patches", source="patches", n_steps=80, batch_size=48, lr=5e-4),
)
"""A brief refinement of a fitted network on a user's own images, some 20 seconds at 32 px."""
