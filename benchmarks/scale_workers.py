"""Workers that sleep instead of training, so that what is left is the engine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from agents.cluster import Cluster
from agents.remote import Placement, RayLink
from agents.spares import Spare
from agents.workers import Worker, WorkersVecEnv


@dataclass(frozen=True)
class Answers:
    """What a real worker answered once."""

    spaces: Any
    reset: Any
    step: Any

    @classmethod
    def of(cls, n_envs: int) -> Answers:
        """Ask a worker with so many GANs of `GridGAN-v0`."""
        worker = Worker("gan_gym:GridGAN-v0", n_envs, None, {"inner_steps": 1, "episode_steps": 10**6})
        reset = worker.reset([0] * n_envs, [{}] * n_envs)
        return cls(worker.spaces(), reset, worker.step(np.zeros((n_envs, 4), np.float32)))


class Sleeper:
    """A worker whose GANs take as long as it is told, and answer as real ones do.

    Args:
        answers: what it answers.
        seconds: of an env step.
    """

    def __init__(self, answers: Answers, seconds: float) -> None:
        self.answers, self.seconds = answers, seconds

    def spaces(self) -> Any:
        """Return the spaces of an observation and an action."""
        return self.answers.spaces

    def reset(self, seeds: Sequence[int | None], options: Sequence[Any]) -> Any:
        """Answer as after a reset."""
        return self.answers.reset

    def step(self, actions: NDArray[Any]) -> Any:
        """Sleep, and answer as after an env step."""
        time.sleep(self.seconds)
        return self.answers.step

    def call(self, name: str, *args: Any, indices: Sequence[int]) -> list[None]:
        """Say that there is nothing else to it."""
        return [None] * len(indices)

    def snapshot(self) -> int:
        """Return next to nothing, as there is nothing to continue."""
        return 0


class Here:
    """A worker in this process, reached as others are (`workers.Link`)."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Keep a call for `receive`."""
        self._call = method, args, kwargs

    def receive(self) -> Any:
        """Do what was asked for, and return what it returns."""
        method, args, kwargs = self._call
        return getattr(self._worker, method)(*args, **kwargs)

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def sleeping(cluster: Cluster | None, n_workers: int, n_envs: int, seconds: float) -> Iterator[WorkersVecEnv]:
    """Make workers that sleep, `n_envs` GANs each; on the cluster, or one after the other in this process."""
    build = partial(Sleeper, Answers.of(n_envs), seconds)
    links: list[Any]
    if cluster is None:
        links = [Here(build()) for _ in range(n_workers)]
    else:
        placement, spare = Placement(num_cpus=0), Spare(cluster, wanted=False)
        make = cast(Any, build)
        links = [RayLink(cluster, make, f"sleeper {i}", placement, spare) for i in range(n_workers)]
    env = WorkersVecEnv(links, [n_envs] * n_workers)
    try:
        env.reset()
        yield env
    finally:
        env.close()


def step_times(env: WorkersVecEnv, n_steps: int) -> NDArray[np.float64]:
    """Time env steps, `(n_steps,)` seconds; a few before them do not count."""
    actions = np.zeros((env.num_envs, 4), np.float32)
    times = []
    for _ in range(n_steps + 3):
        began = time.perf_counter()
        env.step(actions)
        times.append(time.perf_counter() - began)
    return np.array(times[3:])
