"""Workers on the machines of a Ray cluster, which come back where they are lost (extra `[ray]`)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from agents.cluster import Cluster
from agents.population import Moves
from agents.processes import WorkerDied
from agents.workers import Kind, Worker, WorkersVecEnv

logger = logging.getLogger(__name__)

N_RESTARTS = 3
"""Times a worker is started anew for one answer; a fourth loss is an error."""
Call = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method's name and arguments."""


@dataclass(frozen=True)
class Placement:
    """What each remote worker is given, and how it is watched.

    Raises:
        ValueError: if a number is out of range.
    """

    num_cpus: float = 1.0
    """CPU cores it holds on its machine."""
    num_gpus: float = 0.0
    """GPUs it holds; a fraction shares one."""
    deadline_s: float = 600.0
    """Seconds that an answer may take; after that the worker counts as hung."""
    snapshot_every: int = 10
    """Env steps between two snapshots of its GANs: what a worker that is lost has to train again at most."""

    def __post_init__(self) -> None:
        for name, least in (("num_cpus", 0), ("num_gpus", 0), ("deadline_s", 1e-3), ("snapshot_every", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a number >= {least}")


class _Host:
    """A `Worker` where it lives: a Ray actor."""

    def __init__(self, build: Callable[[], Worker]) -> None:
        torch.set_num_threads(1)
        self._build = build
        self._made: Worker | None = None

    @property
    def _worker(self) -> Worker:
        """The worker; made at the first call, which raises what is wrong with its arguments."""
        if self._made is None:
            self._made = self._build()
        return self._made

    def answer(self, call: Call, snapshot: bool) -> tuple[Any, Any]:
        """Return what a call returns, and the worker's state after it where it is asked for."""
        method, args, kwargs = call
        value = getattr(self._worker, method)(*args, **kwargs)
        return value, self._worker.snapshot() if snapshot else None

    def go_on(self, state: Any, calls: Sequence[Call]) -> None:
        """Take up the work of a worker that was lost: its last state, and what it did since."""
        if state is not None:
            self._worker.restore(state)
        for call in calls:
            self.answer(call, False)

    def pid(self) -> int:
        """Return the process it lives in."""
        return os.getpid()


class RayLink:
    """A `Worker` on another machine; see `workers.Link`.

    Where its process, its machine or the network is lost, or an answer takes longer than the deadline, it is
    started anew elsewhere from its last snapshot, and what it did since is done again, the call that was
    under way too: the training goes on as if nothing had happened (bit for bit on CPUs of one kind).

    Args:
        cluster: the cluster, connected.
        build: makes the worker there; picklable.
        name: what it is called in messages.
        placement: what it is given.
    """

    def __init__(
        self, cluster: Cluster, build: Callable[[], Worker], name: str, placement: Placement
    ) -> None:
        self.name, self.placement, self.n_restarts = name, placement, 0
        self._cluster, self._build = cluster, build
        self._state: Any = None
        self._since: list[Call] = []
        """Calls since the last snapshot, which a new worker repeats."""
        self._attributes: list[Call] = []
        """Attributes that were set; no snapshot holds them."""
        self._call: Call | None = None
        self._actor: Any = None
        self._start()

    def _start(self) -> None:
        placement = self.placement
        host = self._cluster.ray.remote(_Host).options(
            num_cpus=placement.num_cpus,
            num_gpus=placement.num_gpus,
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        self._actor = self._cluster.patiently(partial(host.remote, self._build))

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of one of the worker's methods; an answer never fetched is dropped."""
        if self._call is not None:  # an interrupt kept it from being fetched
            with suppress(Exception):
                self.receive()
        self._call = method, args, kwargs
        self._ask()

    def _ask(self) -> None:
        assert self._call is not None
        steps = sum(method == "step" for method, _, _ in self._since)
        method = self._call[0]
        wanted = method == "reset" or (method == "step" and steps + 1 >= self.placement.snapshot_every)
        ask = partial(self._actor.answer.remote, self._call, wanted)
        self._sent, self._answer = time.monotonic(), self._cluster.patiently(ask)

    def receive(self) -> Any:
        """Wait for what the call returns.

        Raises:
            Exception: what the call raised, as it was raised there.
            WorkerDied: if the worker was lost again and again, or the cluster's head was.
        """
        assert self._call is not None, "nothing was asked for"
        lost, task_error = self._cluster.losses, self._cluster.task_error
        n_left = N_RESTARTS
        while True:
            try:
                value, state = self._wait(self._answer)
                break
            except task_error as error:
                self._call = None
                raise error.cause from None
            except lost as error:
                if n_left == 0:
                    self._call = None
                    raise WorkerDied(
                        f"{self.name} was lost {N_RESTARTS + 1} times within one env step "
                        f"({_reason(error)}); look at the cluster's machines (ray status), and make the "
                        "environment anew"
                    ) from error
                n_left -= 1
                logger.warning("%s was lost (%s); it is started anew", self.name, _reason(error))
                with suppress(*lost):
                    self._come_back()
        self._remember(self._call, state)
        self._call = None
        return value

    def _wait(self, reference: Any) -> Any:
        """Return what a reference stands for, within the deadline, as long as the cluster has its head."""
        ray, asked = self._cluster.ray, self._sent
        while True:
            left = self.placement.deadline_s - (time.monotonic() - asked)
            try:
                return ray.get(reference, timeout=max(min(left, 1.0), 0.0))
            except self._cluster.timeout:
                self._cluster.check_head()
                if left <= 0:
                    raise

    def _come_back(self) -> None:
        """Start the worker anew, bring it to where it was, and ask again."""
        self.n_restarts += 1
        self.close()
        self._start()
        self._sent = time.monotonic()
        calls = [*self._attributes, *self._since]
        self._wait(self._cluster.patiently(partial(self._actor.go_on.remote, self._state, calls)))
        self._ask()

    def _remember(self, call: Call, state: Any) -> None:
        if call[0] == "call" and call[1][:1] == ("set_attr",):
            self._attributes.append(call)
        elif state is None:
            self._since.append(call)
        else:
            self._state, self._since = state, []

    def pid(self) -> int:
        """Return the process the worker lives in, on its machine."""
        return int(self._cluster.ray.get(self._actor.pid.remote()))

    def close(self) -> None:
        """End the worker, whatever it is doing; nothing happens the second time."""
        if self._actor is not None:
            with suppress(Exception):
                self._cluster.patiently(partial(self._cluster.ray.kill, self._actor))
            self._actor = None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


class RayVecEnv(WorkersVecEnv):
    """Environments on the machines of a Ray cluster as one SB3 vector environment.

    Each worker trains its share as a population, and an env step is one message to it and one back. Equal to
    the same workers as processes on this machine (`agents.make_env` with as many `n_processes`), bit for bit
    on CPUs of one kind. Workers that are lost come back (`RayLink`); `n_restarts` counts how often.

    Args:
        kinds: the environments, and how many workers share them.
        moves: what discrete actions stand for, or `None`.
        address: of the cluster: `"local"` starts one on this machine, `"auto"` finds the one this machine
            belongs to.
        placement: what each worker is given.

    Raises:
        ValueError: if Ray is not installed or there is no such cluster.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        moves: Moves | None = None,
        address: str = "auto",
        placement: Placement | None = None,
    ) -> None:
        cluster = Cluster.connect(address)
        shares = [(kind, n) for kind in kinds for n in kind.shares]
        self.remote: list[RayLink] = []
        for i, (kind, n) in enumerate(shares):
            name = f"remote worker {i + 1} of {len(shares)}"
            build = partial(Worker, kind.env_id, n, moves, kind.kwargs)
            self.remote.append(RayLink(cluster, build, name, placement or Placement()))
        try:
            super().__init__(self.remote, [n for _, n in shares])
        except BaseException:
            for link in self.remote:
                link.close()
            raise

    @property
    def n_restarts(self) -> int:
        """How often a worker was lost and started anew."""
        return sum(link.n_restarts for link in self.remote)
