"""What the rules share."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.acting import State
from gan_gym.observations import OBSERVATIONS

Settings = dict[str, float]


class ExactRule:
    """Base of the rules: they fit any set of knobs, and by `predict` alone they keep what is set."""

    knobs: tuple[str, ...] | None = None

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], State]:
        """Return the action that keeps every knob: a rule acts through `settings`."""
        return np.zeros(action_shape(observation), np.float32), state


def action_shape(observation: NDArray[np.float32]) -> tuple[int, ...]:
    """Return the shape of the actions for observations `(..., n)`, whose last 2 k rows are k knobs'."""
    n_knobs = (observation.shape[-1] - len(OBSERVATIONS)) // 2
    return (*observation.shape[:-1], n_knobs)


def rates(g_lr: float, d_lr: float) -> Settings:
    """Return settings that put these learning rates in force, with update ratios switched off."""
    return {"g_lr": g_lr, "d_lr": d_lr, "g_update_ratio": 0.0, "d_update_ratio": 0.0}


def cosine(progress_remaining: float) -> float:
    """Return (1 + cos(pi t)) / 2 at t = 1 - `progress_remaining`: 1 at the start, 0 at the end.

    Loshchilov & Hutter 2017, SGDR, arXiv 1608.03983, eq. 5 without restarts.
    """
    return (1 + math.cos(math.pi * (1 - progress_remaining))) / 2


FORMS: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": cosine,
    "linear": lambda progress_remaining: progress_remaining,
    "step": lambda progress_remaining: float(progress_remaining > 0.5),
    "hold": lambda progress_remaining: min(1.0, progress_remaining / 0.2),
}
"""How a setting falls from its start, 1, to its end, 0, by the share of the budget that is left; `hold` falls
in the last fifth alone."""
