"""Baselines that look at nothing: keep everything, or turn knobs at random."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.acting import State
from agents.baselines.rule import ExactRule, Settings, action_shape, rates


@dataclass(frozen=True)
class Constant(ExactRule):
    """Leave everything as it starts."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return nothing to set."""
        return {}, state


@dataclass(frozen=True)
class TTUR(ExactRule):
    """A two time-scale update rule: D learns four times as fast as G.

    Heusel et al. 2017, arXiv 1706.08500, propose separate rates and tune them for each data set; the widely
    used pair 1e-4 and 4e-4 is SAGAN's (Zhang et al. 2018, arXiv 1805.08318). The rates replace the starting
    ones: the rule is a recipe, not a correction. Adam's decay rates stay as they start.
    """

    g_lr: float = 1e-4
    """Learning rate of the generator."""
    d_lr: float = 4e-4
    """Learning rate of the discriminator."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the two rates."""
        return rates(self.g_lr, self.d_lr), state


@dataclass(frozen=True)
class Random:
    """Uniform actions.

    Counter-based: the state is the episode's stream and the number of draws, so a resumed run draws the same.
    The stream follows from `seed` and the episode's first observation, so equal episodes draw alike in any
    order.
    """

    seed: int = 0
    """Seed of the private generator."""
    knobs: tuple[str, ...] | None = None
    """Knobs the environment must be made with; any by default."""

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], State]:
        """Return actions uniform in [-1, 1], with `deterministic` too."""
        if state is None:
            state = {"stream": zlib.crc32(np.ascontiguousarray(observation).tobytes()), "n_draws": 0}
        rng = np.random.default_rng([self.seed, state["stream"], state["n_draws"]])
        action = rng.uniform(-1.0, 1.0, action_shape(observation)).astype(np.float32)
        return action, {**state, "n_draws": state["n_draws"] + 1}
