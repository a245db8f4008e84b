"""A rule that acts by moves, as a policy would."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.acting import Rule, State
from gan_gym.knobs import Knob

Array = NDArray[np.float32]


def move_towards(target: Mapping[str, float], info: Mapping[str, Any], knobs: Sequence[Knob]) -> Array:
    """Return the action, `(k,)` in [-1, 1], that brings every knob as near to its target as one move can.

    A knob that is to be off is turned down all the way, off already or not: what imitates such moves does not
    turn it on by its small errors.
    """
    moves = [
        _move(target[knob.name], info[knob.name], knob) if knob.name in target else 0.0 for knob in knobs
    ]
    return np.clip(np.array(moves, np.float32), -1.0, 1.0)


def _move(target: float, value: float, knob: Knob) -> float:
    if knob.can_be_off and target <= knob.low:
        return -1.0
    return math.log(max(target, knob.low) / max(value, knob.low)) / math.log(knob.max_factor)


class Demonstration:
    """A rule at work in all environments of a vector environment, by moves alone.

    Args:
        rule: what is followed.
        vector: the environments; they are started anew.

    Raises:
        ValueError: if the rule sets learning rates where update ratios are turned, or the reverse.
    """

    def __init__(self, rule: Rule, vector: VecEnv) -> None:
        self.rule, self.vector = rule, vector
        self.knobs: list[tuple[Knob, ...]] = vector.get_attr("knobs")
        self.networks: list[str] = vector.get_attr("networks")
        self._states: list[State] = [None] * vector.num_envs
        vector.reset()
        self._check_ratios()

    def _check_ratios(self) -> None:
        """Check that the rule sets what the knobs hold: learning rates or update ratios."""
        (_, info), *_ = self.vector.env_method("current")
        settings, _ = self.rule.settings({**info, "networks": self.networks[0]}, None)
        for knob in ("g_update_ratio", "d_update_ratio"):
            turned = any(own.name == knob for own in self.knobs[0])
            if knob in settings and (settings[knob] > 0) != turned:
                remedy = "leave it out of the knobs" if turned else "put it among the knobs"
                verb = "does not set" if turned else "sets"
                raise ValueError(f"{type(self.rule).__name__} {verb} {knob}, so it cannot be shown; {remedy}")

    def moves(self) -> Array:
        """Return the rule's move `(n, k)` in each environment, which it counts as done."""
        moves = np.zeros((self.vector.num_envs, len(self.knobs[0])), np.float32)
        for i, (_, info) in enumerate(self.vector.env_method("current")):
            seen = {**info, "networks": self.networks[i]}
            settings, self._states[i] = self.rule.settings(seen, self._states[i])
            moves[i] = move_towards(settings, info, self.knobs[i])
        return moves

    def step(self, moves: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Do moves, the rule's or others; return rewards, and whether episodes ended."""
        _, rewards, dones, _ = self.vector.step(moves)
        self._states = [None if done else state for done, state in zip(dones, self._states, strict=True)]
        return np.asarray(rewards, np.float32), dones
