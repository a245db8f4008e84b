"""Env steps a second while PPO learns on `GridGAN-v0`, and how much of the time is PPO's own."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

import agents
from benchmarks.costs import Costs

BATCH_SIZE = 160
"""Samples of a minibatch of PPO, or the whole rollout where that is smaller."""


class StepClock(VecEnvWrapper):
    """Keep when each env step begins and ends."""

    def reset(self) -> VecEnvObs:
        """Start all episodes anew, and the record with them."""
        self.began: list[float] = []
        self.ended: list[float] = []
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Begin an env step."""
        self.began.append(time.perf_counter())
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """End an env step."""
        result = self.venv.step_wait()
        self.ended.append(time.perf_counter())
        return result


@dataclass(frozen=True)
class Rollout:
    """Where the time of one rollout and PPO's update from it goes, in seconds."""

    whole: float
    """From the first env step to the finished update."""
    envs: float
    """In the env steps."""
    update: float
    """From the last env step to the finished update."""


def controllers(costs: Costs) -> None:
    """Let PPO learn from many GANs and from one, in turn, one rollout and one update each time."""
    rollouts: dict[int, list[Rollout]] = {n: [] for n in costs.scale.rollouts}
    with ExitStack() as stack:
        clocks = {n: stack.enter_context(_clock(costs, n)) for n in rollouts}
        for _ in range(costs.scale.controller_repeats + 1):
            for n, n_steps in costs.scale.rollouts.items():
                rollouts[n].append(_learn(clocks[n], n_steps))
    rates = {}
    for n, (_, *counted) in rollouts.items():  # the first does not count
        whole, envs, update = np.array([(r.whole, r.envs, r.update) for r in counted]).T
        rates[n] = n * costs.scale.rollouts[n] / whole
        costs.ratio(f"ppo_{n}_envs_update_share", update / whole)
        costs.ratio(f"ppo_{n}_envs_env_share", envs / whole)
        costs.rate(f"env steps, PPO on GridGAN-v0, {n} environments", rates[n])
        costs.time(f"PPO, {n} environments: env steps of a rollout", envs)
        costs.time(f"PPO, {n} environments: update", update)
    many, few = rates
    costs.ratio(f"ppo_{many}_envs_over_{few}_env", rates[many] / rates[few])


@contextmanager
def _clock(costs: Costs, n: int) -> Iterator[StepClock]:
    costs.bar.set_postfix_str(f"PPO, {n} environments")
    with _messages("agents.environments") as said:
        vector = agents.make_env(
            "GridGAN-v0", "ppo", n, instances="train", device=str(costs.device), **costs.scale.env_kwargs
        )
    costs.notes.append(f"make_env, {n} of GridGAN-v0: {type(vector).__name__}; {'; '.join(said)}")
    try:
        yield StepClock(vector)
    finally:
        vector.close()


def _learn(clock: StepClock, n_steps: int) -> Rollout:
    total = n_steps * clock.num_envs
    agents.train("ppo", clock, total, n_steps=n_steps, batch_size=min(BATCH_SIZE, total))
    done = time.perf_counter()
    envs = sum(clock.ended) - sum(clock.began)
    return Rollout(done - clock.began[0], envs, done - clock.ended[-1])


@contextmanager
def _messages(name: str) -> Iterator[list[str]]:
    """Collect what a logger says within the block."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
