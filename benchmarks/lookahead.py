"""An oracle: look a few env steps ahead, on forks of the GAN, before every decision.

It cannot be used in earnest, as it trains many GANs for one and reads what no run knows of its future. It
says what is to be gained by greedy decisions on the same knobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from agents.acting import Agent, State
from agents.baselines import BASELINES, find_agent
from agents.baselines.rule import ExactRule
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.knobs import Knob

Actions = NDArray[np.float32]
"""`(m, k)` actions on k knobs."""


@dataclass(frozen=True)
class Lookahead(ExactRule):
    """Try a table of actions, each on a fork, and take the one of the highest quality after the horizon."""

    horizon: int = 2
    """Env steps looked ahead; after the first one a fork keeps its knobs."""
    factor: float = 4.0
    """What a tried action multiplies or divides a knob by."""

    def plan(self, env: GANEnv, state: State) -> tuple[NDArray[np.float32], State]:
        """Return the best action of the table; a tie goes to the one that changes less."""
        actions = self.table(env.knobs)
        forks = [env.fork() for _ in actions]
        vector, moves = GANVectorEnv.of(forks), actions
        alive, quality = np.ones(len(forks), np.bool_), np.zeros(len(forks))
        n_steps = 0
        for _ in range(self.horizon):
            n_steps += int(alive.sum())
            _, _, ended, infos = vector.step_envs(moves, alive)
            for i in np.flatnonzero(alive):
                quality[i] = -1.0 if infos[i]["diverged"] else infos[i]["quality"]
            alive &= ~ended
            if not alive.any():
                break
            moves = np.zeros_like(actions)
        spent = self.spent(state) + n_steps * env.inner_steps
        return actions[int(quality.argmax())], {"inner_steps": spent}

    def spent(self, state: State) -> int:
        """Return the updates that forks have done in this episode."""
        return 0 if state is None else int(state["inner_steps"])

    def table(self, knobs: tuple[Knob, ...]) -> Actions:
        """Return the actions: keep all, all up, all down, and each knob up or down alone."""
        up = np.array([min(math.log(self.factor) / math.log(knob.max_factor), 1.0) for knob in knobs])
        alone = np.diag(up)
        return np.concatenate([np.zeros_like(up)[None], alone, -alone, [up], [-up]]).astype(np.float32)


ORACLES: dict[str, Callable[[], Agent]] = {
    "lookahead": Lookahead,
    "lookahead_8": partial(Lookahead, horizon=8),
}
"""What is compared beside the baselines, by name; the longer horizon costs some eighty GANs for one."""
AGENTS = {**BASELINES, **ORACLES}
"""All agents that need no training."""


def find(name: str) -> Agent:
    """Return an oracle, or what `find_agent` finds."""
    return ORACLES[name]() if name in ORACLES else find_agent(name)
