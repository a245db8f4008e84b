"""Train many GANs under many agents, on all cores, and count what each run reached."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import torch

from agents.acting import Agent
from agents.cores import usable_cores
from agents.evaluation import Episode, Measure, knobs_for, make_vector, play
from benchmarks.ceilings import ceiling, half_of_modes
from benchmarks.judge import keep_for_judge
from benchmarks.lookahead import find
from benchmarks.pbt import PBT, POPULATIONS
from benchmarks.pbt import play as pbt_play
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.vector import GANVectorEnv

Row = dict[str, Any]
"""One GAN."""
Job = TypeVar("Job")


@dataclass(frozen=True)
class Batch:
    """GANs that one process trains side by side; all their agents turn the same knobs."""

    env: str
    """Id of the environment."""
    kwargs: Mapping[str, Any]
    """Its arguments, JSON-able."""
    runs: Sequence[tuple[str, Agent | str, int]]
    """Name, agent (or what `lookahead.find` takes, or one of `POPULATIONS`, then of all) and seed of the
    reset, one a GAN."""
    n_envs: int | None = None
    """GANs under way at a time; `None` as `agents.evaluate`."""
    judged: bool = False
    """Whether patches are kept from training, and the KID to them measured (`HistoGAN-v0` alone)."""


@dataclass(frozen=True)
class _Stage:
    """Environments that batches are played in, one after the other, and what is known of their problem."""

    vector: GANVectorEnv
    measures: Mapping[str, Measure]
    known: Row
    """What real data reaches."""
    half: float
    """Modes below which half of all are lost; 0 where they are not counted."""

    def row(self, episode: Episode) -> Row:
        """Return the row of an episode."""
        failed = episode.end != "budget" or 0 <= episode.modes < self.half
        return {**episode.as_dict(), "failed": failed, **self.known}


@lru_cache(maxsize=4)
def _stage(env: str, kwargs: str, n_envs: int | None, n_runs: int, judged: bool) -> _Stage:
    arguments = json.loads(kwargs)
    vector, measures = make_vector(env, n_envs, n_runs, arguments), {}
    if judged:
        assert isinstance(vector.envs[0], HistoGANEnv), f"no patches are kept from training in {env}"
        first, judge = keep_for_judge({"instances": "test", **arguments})
        vector.envs[0].problem_of(first)
        measures["kid"] = judge.kid
    problem = vector.envs[0].problem
    reached, known = ceiling(problem), {}
    if reached is not None:
        known = dict(zip(("real_modes", "real_modes20", "real_hq"), reached, strict=True))
    return _Stage(vector, measures, known, half_of_modes(problem) if reached is not None else 0.0)


def play_batch(batch: Batch) -> list[Row]:
    """Train a batch of GANs and return one row each.

    A row holds the fields of `agents.evaluation.Episode`, what was measured, `failed` (diverged, collapsed,
    or with less than half of the modes where these are counted), and where they are, what real data reaches:
    `real_modes`, `real_modes20`, `real_hq`.
    """
    populations = [
        (name, POPULATIONS[agent], seed)
        for name, agent, seed in batch.runs
        if isinstance(agent, str) and agent in POPULATIONS
    ]
    if populations:
        return _play_populations(batch, populations)
    runs = [(name, find(a) if isinstance(a, str) else a, seed) for name, a, seed in batch.runs]
    arguments = {**knobs_for(runs[0][1], dict(batch.kwargs)), **batch.kwargs}
    key = json.dumps(arguments, sort_keys=True)
    stage = _stage(batch.env, key, batch.n_envs, len(runs), batch.judged)
    return [stage.row(episode) for episode in play(stage.vector, batch.env, runs, stage.measures)]


def _play_populations(batch: Batch, runs: Sequence[tuple[str, PBT, int]]) -> list[Row]:
    """Train equal populations side by side."""
    pbt, n = runs[0][1], sum(pbt.n_members for _, pbt, _ in runs)
    key = json.dumps(pbt.arguments(batch.env, batch.kwargs), sort_keys=True)
    stage = _stage(batch.env, key, n, n, batch.judged)
    return [stage.row(episode) for episode in pbt_play(stage.vector, batch.env, runs, stage.measures)]


Play = Callable[[Sequence[Batch]], Iterator[list[Row]]]
"""Trains batches of GANs, and yields the rows of each as it ends."""


def players(n_processes: int) -> AbstractContextManager[Play]:
    """Give what plays batches; see `workers`."""
    return workers(n_processes, play_batch)


@contextmanager
def workers(
    n_processes: int, work: Callable[[Job], list[Row]]
) -> Iterator[Callable[[Sequence[Job]], Iterator[list[Row]]]]:
    """Give what does jobs on several processes, as long as the context lasts; 1 is this one alone."""
    if n_processes <= 1:
        yield lambda jobs: map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def work_all(jobs: Sequence[Job]) -> Iterator[list[Row]]:
            for future in as_completed([pool.submit(work, job) for job in jobs]):
                yield future.result()

        try:
            yield work_all
        finally:
            pool.shutdown(cancel_futures=True)


def fitting_processes() -> int:
    """Return how many processes train fastest here: one with a GPU, which they would have to share."""
    return 1 if torch.cuda.is_available() else usable_cores()
