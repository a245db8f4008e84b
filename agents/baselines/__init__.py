"""Hand-made controllers: what a learned one has to beat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.acting import Agent
from agents.baselines.feedback import ADA, GapAware, LossBalance
from agents.baselines.schedules import Cosine, TunedConstant, TunedSchedule, UpdateRatio
from agents.baselines.simple import TTUR, Constant, Random
from gan_gym.names import lookup, unknown

__all__ = [
    "ADA",
    "BASELINES",
    "TTUR",
    "Constant",
    "Cosine",
    "GapAware",
    "LossBalance",
    "Random",
    "TunedConstant",
    "TunedSchedule",
    "UpdateRatio",
    "find_agent",
    "make_baseline",
]

BASELINES: dict[str, Callable[..., Agent]] = {
    "constant": Constant,
    "random": Random,
    "cosine": Cosine,
    "ttur": TTUR,
    "gap_aware": GapAware,
    "ada": ADA,
    "update_ratio": UpdateRatio,
    "loss_balance": LossBalance,
    "tuned_constant": TunedConstant,
    "tuned_schedule": TunedSchedule,
}
"""Baselines by name."""


def make_baseline(name: str, **arguments: Any) -> Agent:
    """Make the baseline of that name; `arguments` are its constructor's.

    Raises:
        ValueError: if it is unknown; the message holds the nearest known one.
    """
    return lookup(BASELINES, name, "baseline")(**arguments)


def find_agent(name_or_path: str | Path, *, seed: int = 0) -> Agent:
    """Return a baseline or a shipped controller by name, or the controller in a folder or a zip.

    Args:
        name_or_path: what to find.
        seed: seed of an agent that draws at random.

    Raises:
        ValueError: if there is none, with the nearest known name, or the controller is damaged.
    """
    from agents.controller import Controller, shipped  # torch and SB3, which no baseline needs

    name = str(name_or_path)
    if name == "random":
        return Random(seed)
    if name in BASELINES:
        return make_baseline(name)
    if name in shipped() or name.endswith(".zip") or (Path(name) / "controller.json").is_file():
        return Controller.load(name)
    known = unknown(name, [*BASELINES, *shipped()], "controller")
    raise ValueError(f"{known} Or give a folder with a controller.json, or a zip of Stable-Baselines3.")
