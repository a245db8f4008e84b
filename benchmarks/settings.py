"""What the benchmarks train GANs on: one table of named settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.environments import make_one
from gan_gym.names import lookup

PUBLISHED_STEPS = 400_000
"""Updates of a run in PacGAN's protocol: 400 epochs of 100,000 points in batches of 100."""


@dataclass(frozen=True)
class Setting:
    """A way to make the environments of a comparison."""

    meaning: str
    """One line for the table."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of every environment."""
    by_env: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further arguments by id; the setting is of these environments alone, unless this is empty."""
    factors: Mapping[str, int] = field(default_factory=dict)
    """What the environment's own values of whole-numbered arguments are multiplied by."""
    n_steps: int | None = None
    """Updates of a whole run, of which a comparison may do a fraction; `None` is the environment's own."""
    n_envs: int | None = None
    """GANs trained together; `None` as many as `agents.evaluate` does."""


_POINTS = ("GridGAN-v0", "RingGAN-v0")
_IMAGES = ("StackedDigitsGAN-v0", "HistoGAN-v0")


def _networks(points: str | None = None, images: str | None = None) -> dict[str, dict[str, Any]]:
    """Return the argument that says the networks, by id, for families that have such."""
    of_points = {} if points is None else {env: {"networks": points} for env in _POINTS}
    of_images = {} if images is None else {env: {"networks": images} for env in _IMAGES}
    return of_points | of_images


SETTINGS: dict[str, Setting] = {
    "default": Setting("as the environment is made"),
    "inside": Setting("rates start in the middle decade of the training range", {"instances": "inside"}),
    "edge": Setting("rates start in the outer decades of the training range", {"instances": "edge"}),
    "outside": Setting("rates start beyond the training range, other beta1", {"instances": "outside"}),
    "unseen_losses": Setting("losses that training never draws", {"instances": "unseen_losses"}),
    "larger": Setting("larger networks", by_env=_networks("mlp_large", "residual")),
    "weak_d": Setting("a discriminator a quarter as wide", by_env=_networks(images="light_weak_d")),
    "longer": Setting("four times the updates between two decisions", factors={"inner_steps": 4}),
    "more_decisions": Setting("four times the decisions", factors={"episode_steps": 4}),
    "pacgan": Setting(
        "PacGAN's protocol without packing (arXiv 1712.04086): its networks, batch and data",
        {"networks": "pacgan", "batch_size": 100, "episode_steps": 40},
        by_env={"GridGAN-v0": {"spacing": 2.0, "std": 0.05}, "RingGAN-v0": {"radius": 1.0, "std": 0.01}},
        n_steps=PUBLISHED_STEPS,
        n_envs=2,
    ),
}
"""Settings by name. In `pacgan` points are drawn anew for every batch, where the protocol draws 100,000 once;
its learning rate of 1e-4, its beta1 of 0.8 and its loss give way to those of the instances (half of them have
a hinge loss); and samples are those of the averaged generator, as everywhere here."""


def arguments(name: str, env: str, own: Mapping[str, Any], fraction: float = 1.0) -> dict[str, Any]:
    """Return the arguments with which a setting makes an environment.

    Args:
        name: a key of `SETTINGS`.
        env: id of the environment.
        own: arguments where the setting says nothing.
        fraction: share of a whole run's updates, for settings that say how many these are.

    Raises:
        ValueError: if the setting is unknown or not of this environment, or the fraction out of range.
    """
    setting = lookup(SETTINGS, name, "setting")
    env = env.removeprefix("gan_gym:")
    if setting.by_env and env not in setting.by_env:
        raise ValueError(f"setting '{name}' is of {', '.join(setting.by_env)}, not of {env}; leave it out")
    made = {**own, **setting.kwargs, **setting.by_env.get(env, {})}
    trial = make_one(env, **made)
    made |= {argument: factor * getattr(trial, argument) for argument, factor in setting.factors.items()}
    if setting.n_steps is not None:
        made["inner_steps"] = round(fraction * setting.n_steps / trial.episode_steps)
        if not made["inner_steps"] >= 1 or fraction > 1:
            raise ValueError(f"fraction is {fraction}; give a share in (0, 1] of {setting.n_steps:,} updates")
    return made
