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
    """Let PPO learn from many GANs, with updates compiled too, and from one; in turn, a rollout each time."""
    many, few = costs.scale.rollouts
    contestants = {f"{many}_envs": many, f"{many}_envs_compiled": many, f"{few}_env": few}
    if not costs.scale.compiled:
        del contestants[f"{many}_envs_compiled"]
    rollouts: dict[str, list[Rollout]] = {name: [] for name in contestants}
    with ExitStack() as stack:
        clocks = {
            name: stack.enter_context(_clock(costs, n, compiled=name.endswith("compiled")))
            for name, n in contestants.items()
        }
        for _ in range(costs.scale.controller_repeats + 1):
            for name, n in contestants.items():
                rollouts[name].append(_learn(clocks[name], costs.scale.rollouts[n]))
    rates = {}
    for name, (_, *counted) in rollouts.items():  # the first does not count
        whole, envs, update = np.array([(r.whole, r.envs, r.update) for r in counted]).T
        n = contestants[name]
        rates[name] = n * costs.scale.rollouts[n] / whole
        costs.ratio(f"ppo_{name}_update_share", update / whole)
        costs.ratio(f"ppo_{name}_env_share", envs / whole)
        costs.rate(f"env steps, PPO on GridGAN-v0, {name.replace('_', ' ')}", rates[name])
        costs.time(f"PPO, {name.replace('_', ' ')}: env steps of a rollout", envs)
        costs.time(f"PPO, {name.replace('_', ' ')}: update", update)
    first, *others = rates
    for other in others:
        if other.endswith("compiled"):
            costs.ratio(f"ppo_{other}_over_{first}", rates[other] / rates[first])
        else:
            costs.ratio(f"ppo_{first}_over_{other}", rates[first] / rates[other])


@contextmanager
def _clock(costs: Costs, n: int, *, compiled: bool) -> Iterator[StepClock]:
    costs.bar.set_postfix_str(f"PPO, {n} environments")
    kwargs = {
        "instances": "train",
        "device": str(costs.device),
        "compile": compiled,
        **costs.scale.env_kwargs,
    }
    with _messages("agents.environments") as said:
        vector = agents.make_env("GridGAN-v0", "ppo", n, **kwargs)
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
