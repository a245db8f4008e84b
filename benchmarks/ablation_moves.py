"""Controllers whose moves are smaller than those their environment allows, in training and in use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from agents.acting import Agent, State
from gan_gym.knobs import resolve


def shares(knobs: Sequence[str], max_factor: float) -> NDArray[np.float32]:
    """Return what actions are multiplied by, `(k,)`, so that none moves a knob by more than `max_factor`.

    A knob's own factor F to the power a is `max_factor` to the power of a log(F) / log(`max_factor`). Knobs
    that move by less anyway stay as they are.
    """
    factors = [knob.max_factor for knob in resolve(knobs)]
    return np.array([min(1.0, math.log(max_factor) / math.log(factor)) for factor in factors], np.float32)


class SmallMovesVecEnv(VecEnvWrapper):
    """Environments in which an action of 1 multiplies a knob by at most `max_factor`.

    Args:
        venv: the environments, with continuous actions.
        knobs: names of their knobs.
        max_factor: largest factor of a move.
    """

    def __init__(self, venv: VecEnv, knobs: Sequence[str], max_factor: float) -> None:
        super().__init__(venv)
        self._shares, self._max_factor = shares(knobs, max_factor), max_factor

    def reset(self) -> VecEnvObs:
        """Start all environments anew."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Send all environments their actions, made smaller."""
        self.venv.step_async(actions * self._shares)

    def step_wait(self) -> VecEnvStepReturn:
        """Wait until all environments have done a step."""
        return self.venv.step_wait()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the environments; of their knobs, as they are with smaller moves."""
        values = super().get_attr(attr_name, indices)
        if attr_name != "knobs":
            return values
        return [
            tuple(replace(knob, max_factor=min(knob.max_factor, self._max_factor)) for knob in knobs)
            for knobs in values
        ]


class SmallMoves:
    """An agent that was trained in `SmallMovesVecEnv`, for environments that allow larger moves.

    Args:
        agent: what was trained.
        max_factor: largest factor of a move.
    """

    def __init__(self, agent: Agent, max_factor: float) -> None:
        if agent.knobs is None:
            raise ValueError("the agent turns any knobs; give one that names them")
        self.agent, self.knobs = agent, agent.knobs
        self._shares = shares(agent.knobs, max_factor)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], State]:
        """Return the agent's action, made smaller, and its next state."""
        action, after = self.agent.predict(observation, state, episode_start, deterministic)
        return action * self._shares, after
