"""Do the jobs of a benchmark as tasks of a Ray cluster, one core each (extra `[ray]`)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from agents.cluster import PATIENCE_S, Cluster
from agents.controller import Controller
from agents.processes import WorkerDied
from benchmarks.contestants import Training
from benchmarks.lookahead import find
from benchmarks.pbt import POPULATIONS
from benchmarks.playing import Batch, Play, play_batch

logger = logging.getLogger(__name__)

N_RETRIES = 3
"""Times a task is begun anew, elsewhere, where its process or machine was lost."""
POLL_S = 1.0
"""Seconds between two looks at whether the cluster still has its head."""
ARRIVAL_S = 600.0
"""Seconds that a result may take to get here."""
Job = TypeVar("Job")
Result = TypeVar("Result")


@contextmanager
def cluster_players(address: str, num_gpus: float = 0.0) -> Iterator[Play]:
    """Give what plays batches on a cluster; agents travel with them, so that no folder need be there.

    Raises:
        ValueError: if Ray is not installed or there is no such cluster.
    """
    with cluster_workers(address, play_batch, num_gpus) as work:
        yield lambda batches: work([_packed(batch) for batch in batches])


def train_on_cluster(address: str, training: Training, algos: Iterable[str]) -> None:
    """Train algorithms that are not trained yet on a cluster, each seed a task, and keep their controllers.

    Raises:
        ValueError: if Ray is not installed or there is no such cluster.
    """
    jobs = [_Lesson(training, algo, seed) for algo, seed in training.missing(algos)]
    if not jobs:
        return
    with cluster_workers(address, _learn) as work, tqdm(total=len(jobs), unit="training") as bar:
        for lesson, controller in work(jobs):
            training.keep(lesson.algo, lesson.seed, deepcopy(controller))  # Ray's arrays are read-only
            bar.update()


@dataclass(frozen=True)
class _Lesson:
    """An algorithm to be trained with a seed."""

    training: Training
    algo: str
    seed: int


def _learn(lesson: _Lesson) -> tuple[_Lesson, Controller]:
    return lesson, lesson.training.learnt(lesson.algo, lesson.seed, n_processes=1)


@contextmanager
def cluster_workers(
    address: str, work: Callable[[Job], Result], num_gpus: float = 0.0
) -> Iterator[Callable[[Sequence[Job]], Iterator[Result]]]:
    """Give what does jobs on a cluster, in any order, as long as the context lasts.

    A job whose process or machine is lost is begun anew, so it must follow from its arguments alone. One
    that is lost again and again does not keep the others from being done. What a job raises is raised here.

    Args:
        address: of the cluster; see `Cluster.connect`.
        work: does one job; its module must be importable on every machine.
        num_gpus: share of a GPU that each task holds.

    Raises:
        ValueError: if Ray is not installed or there is no such cluster.
        HeadLost: from the work, where the cluster's head has gone.
        WorkerDied: after the work, if a job was lost `N_RETRIES` + 1 times.
    """
    cluster = Cluster.connect(address)
    _check_room(cluster, num_gpus)
    task = cluster.ray.remote(_on_one_thread).options(
        num_cpus=1, num_gpus=num_gpus, max_retries=N_RETRIES, scheduling_strategy="SPREAD"
    )
    waiting: list[Any] = []

    def work_all(jobs: Sequence[Job]) -> Iterator[Result]:
        waiting.extend(cluster.patiently(partial(task.remote, work, job)) for job in jobs)
        lost: list[Exception] = []
        while waiting:
            ready, waiting[:] = cluster.ray.wait(waiting, timeout=POLL_S, fetch_local=False)
            if not ready:
                cluster.check_head()
            for reference in ready:
                try:
                    yield cluster.get(reference, ARRIVAL_S)
                except cluster.task_error as error:
                    raise error.cause from None
                except cluster.losses as error:
                    _check_head_patiently(cluster)
                    lost.append(error)
        if lost:
            raise WorkerDied(
                f"{len(lost)} of {len(jobs)} tasks were lost {N_RETRIES + 1} times "
                f"({type(lost[0]).__name__}); look at the cluster's machines (ray status), and go on by the "
                "same call"
            ) from lost[0]

    try:
        yield work_all
    finally:
        for reference in waiting:
            with suppress(Exception):
                cluster.patiently(partial(cluster.ray.cancel, reference, force=True))


def _check_room(cluster: Cluster, num_gpus: float) -> None:
    """Say where no machine has room for a task now; a cluster may still grow."""
    resources = [node["Resources"] for node in cluster.patiently(cluster.ray.nodes) if node["Alive"]]
    if not any(own.get("CPU", 0) >= 1 and own.get("GPU", 0) >= num_gpus for own in resources):
        logger.warning(
            "no machine of the Ray cluster has the CPU core and the %g GPU that a task holds; tasks wait "
            "until one joins",
            num_gpus,
        )


def _on_one_thread(work: Callable[[Job], Result], job: Job) -> Result:
    """Do a job there; results equal those of one thread here."""
    torch.set_num_threads(1)
    return work(job)


def _check_head_patiently(cluster: Cluster) -> None:
    """Raise where what was lost was lost with the cluster's head, whose silence takes a while to count."""
    end = time.monotonic() + PATIENCE_S + POLL_S
    while time.monotonic() < end:
        cluster.check_head()
        time.sleep(POLL_S)


def _packed(batch: Batch) -> Batch:
    """Return a batch with its agents in place of their names and folders; populations have no others."""
    named = {a for _, a, _ in batch.runs if isinstance(a, str) and a not in POPULATIONS}
    agents = {agent: find(agent) for agent in named}
    runs = [(name, agents.get(a, a) if isinstance(a, str) else a, seed) for name, a, seed in batch.runs]
    return replace(batch, runs=runs)
