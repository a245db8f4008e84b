"""Mixtures of environments that one agent learns in side by side, so that what it learns serves all of them.

Every environment has the same spaces whatever its GAN (`gan_gym.knobs`, `gan_gym.observations`), and every
env step waits for all, so the shares are sized to take about equally long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Share:
    """Environments of one kind."""

    id: str
    """One of this package's ids."""
    n_envs: int
    """How many there are."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Their arguments."""
    name: str = ""
    """What they are called beside others of the same id."""

    @property
    def label(self) -> str:
        """What tells them from other shares of a mixture."""
        return f"{self.id} {self.name}".strip()


_POINTS = (
    Share("GridGAN-v0", 24),
    Share("GridGAN-v0", 16, {"spacing": 2.0}, "sharp"),
    Share("GridGAN-v0", 16, {"spacing": 0.5}, "dense"),
    Share("GridGAN-v0", 16, {"std": 0.1}, "blunt"),
)
_IMAGES = (
    Share("StackedDigitsGAN-v0", 1, {"inner_steps": 12, "compile": False}),
    Share("HistoGAN-v0", 1, {"image_size": 16, "batch_size": 16, "inner_steps": 12, "compile": False}),
)
MIXTURES: dict[str, tuple[Share, ...]] = {
    "points": _POINTS,
    "images": _IMAGES,
    "mixture": (*_POINTS, *_IMAGES),
}
"""Mixtures by name, to be given where an environment's id is. `points`: grids that ask for different
settings, so that a controller has to look. `images`: small GANs on stacked digits and on the embedded
tissue, whose updates gain nothing by being compiled. `mixture`: all of them."""


def shares_of(id: str, n_envs: int | None, kwargs: Mapping[str, Any]) -> tuple[Share, ...]:
    """Return the shares of a mixture, or the one share that an id alone is.

    Args:
        id: a name in `MIXTURES`, or an environment's id.
        n_envs: number of environments of an id; `None` for a mixture, which has its own.
        kwargs: arguments of all environments; where a share has an argument of its own, that one counts.

    Raises:
        ValueError: if a mixture is asked for other numbers of environments.
    """
    if id not in MIXTURES:
        return (Share(id, 1 if n_envs is None else n_envs, kwargs),)
    if n_envs is not None:
        raise ValueError(f"n_envs is {n_envs}; leave it out: '{id}' has its own numbers of environments")
    return tuple(replace(share, kwargs={**kwargs, **share.kwargs}) for share in MIXTURES[id])
