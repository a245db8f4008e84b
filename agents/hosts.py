"""What a Ray actor is: a process on some machine in which a `Worker` lives, or may come to live."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.cluster import Cluster
from agents.faults import judge
from agents.shared_patches import use_patches
from agents.workers import Worker

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method's name and arguments."""


def pack(message: object) -> bytes:
    """Make bytes of a message, which Ray passes on in half the time that it takes for objects."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def unpack(message: bytes) -> Any:
    """Return what `pack` made bytes of, on another machine of the cluster."""
    return pickle.loads(message)  # noqa: S301 (from our own cluster)


class Host:
    """A process for a `Worker`; its imports are done as soon as it answers.

    Args:
        build: makes the worker; `None` for one that takes over from another later.
        images: patches that it shares with others (`shared_patches`), or `None`.
    """

    def __init__(self, build: Callable[[], Worker] | None, images: NDArray[np.uint8] | None) -> None:
        torch.set_num_threads(1)
        self._build, self._images = build, images
        self._made: Worker | None = None

    @property
    def _worker(self) -> Worker:
        """The worker; made at the first call, which raises what is wrong with its arguments."""
        if self._made is None:
            assert self._build is not None, "there is nothing to make"
            self._made = self._build()
            if self._images is not None:
                # the first has the problem that all of a population share
                use_patches(self._made.vector.population.envs[0], self._images)
        return self._made

    def take_over(
        self,
        build: Callable[[], Worker],
        images: NDArray[np.uint8] | None,
        state: Any,
        calls: Sequence[Call],
    ) -> None:
        """Take up the work of a worker: what makes it, its patches, last state, and what it did since."""
        self._build, self._images = build, images
        if state is not None:
            self._worker.restore(state)
        for call in calls:
            self._do(call)

    def answer(self, message: bytes) -> bytes:
        """Do what a message of `pack` asks for, `(call, snapshot)`; return `(value, state)`, packed.

        The value is what the call returns, the state the worker's after it where it is asked for.
        """
        call, snapshot = unpack(message)
        try:
            value = self._do(call)
        except Exception as error:
            judge(error)
            raise
        return pack((value, self._worker.snapshot() if snapshot else None))

    def _do(self, call: Call) -> Any:
        method, args, kwargs = call
        return getattr(self._worker, method)(*args, **kwargs)

    def pid(self) -> int:
        """Return the process it lives in."""
        return os.getpid()


def start_host(cluster: Cluster, build: Callable[[], Worker] | None, images: Any, **options: Any) -> Any:
    """Start a `Host` somewhere, which Ray itself never starts again; return its handle at once.

    Args:
        cluster: where.
        build: as for `Host`.
        images: what the cluster knows its patches by, or `None`.
        options: Ray's: what it holds and where it may be.

    Raises:
        HeadLost: if the head of the cluster is lost.
    """
    host = cluster.ray.remote(Host).options(max_restarts=0, enable_task_events=False, **options)
    return cluster.patiently(partial(host.remote, build, images))


def end_host(cluster: Cluster, host: Any) -> None:
    """End a host, whatever it is doing; one that is lost already, or `None`, is well."""
    if host is not None:
        with suppress(Exception):
            cluster.patiently(partial(cluster.ray.kill, host))
