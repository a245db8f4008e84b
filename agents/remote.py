"""Workers on the machines of a Ray cluster, which come back where they are lost (extra `[ray]`)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from agents.cluster import Cluster
from agents.hosts import Call, end_host, pack, start_host, unpack
from agents.population import Moves
from agents.processes import WorkerDied
from agents.shared_patches import share_patches
from agents.spares import Spare
from agents.workers import Kind, Worker, WorkersVecEnv

logger = logging.getLogger(__name__)

N_RESTARTS = 3
"""Times a worker is started anew for one answer; a fourth loss is an error."""


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
    spare: bool = True
    """Keep one process ready to be the next worker that is lost, in half a gigabyte of some machine's memory;
    not where workers hold GPUs, which a process cannot get later."""

    def __post_init__(self) -> None:
        for name, least in (("num_cpus", 0), ("num_gpus", 0), ("deadline_s", 1e-3), ("snapshot_every", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a number >= {least}")


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
        spare: may be ready to be this worker once it is lost.
        images: what the cluster knows its patches by (`shared_patches`), or `None`.
    """

    def __init__(
        self,
        cluster: Cluster,
        build: Callable[[], Worker],
        name: str,
        placement: Placement,
        spare: Spare,
        images: Any = None,
    ) -> None:
        self.name, self.placement, self.n_restarts = name, placement, 0
        self._cluster, self._build, self._spare, self._images = cluster, build, spare, images
        self._state: Any = None
        self._since: list[Call] = []
        """Calls since the last snapshot, which a new worker repeats."""
        self._attributes: list[Call] = []
        """Attributes that were set; no snapshot holds them."""
        self._call: Call | None = None
        self._actor = self._new()

    def _new(self) -> Any:
        placement = self.placement
        return start_host(
            self._cluster,
            self._build,
            self._images,
            num_cpus=placement.num_cpus,
            num_gpus=placement.num_gpus,
            scheduling_strategy="SPREAD",
        )

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of one of the worker's methods; an answer never fetched is dropped."""
        if self._call is not None:  # an interrupt kept it from being fetched
            with suppress(Exception):
                self.receive()
        self._call = method, args, kwargs
        self._ask()

    def _ask(self) -> None:
        self._sent = time.monotonic()
        self._answer = self._actor.answer.remote(pack((self._call, self._snapshot_is_due())))  # needs no head

    def _snapshot_is_due(self) -> bool:
        """Whether the call that is under way is to bring the worker's state with its answer."""
        assert self._call is not None
        steps = sum(method == "step" for method, _, _ in self._since)
        method = self._call[0]
        return method == "reset" or (method == "step" and steps + 1 >= self.placement.snapshot_every)

    def receive(self) -> Any:
        """Wait for what the call returns.

        Raises:
            Exception: what the call raised, as it was raised there.
            WorkerDied: if the worker was lost again and again, or the cluster's head was.
        """
        assert self._call is not None, "nothing was asked for"
        n_losses = 0
        while True:
            try:
                if n_losses:
                    self._come_back()
                value, state = unpack(self._wait(self._answer))
                break
            except self._cluster.task_error as error:
                self._call = None
                raise error.cause from None
            except self._cluster.losses as error:
                n_losses += 1
                reason = self._reason(error)
                if n_losses > N_RESTARTS:
                    self._call = None
                    raise WorkerDied(
                        f"{self.name} was lost {n_losses} times within one env step ({reason}); look at the "
                        "cluster's machines (ray status), and make the environment anew"
                    ) from error
                logger.warning("%s was lost (%s); it is started anew", self.name, reason)
        self._remember(self._call, state)
        self._call = None
        return value

    def _wait(self, reference: Any) -> Any:
        """Return what a reference stands for, within the deadline, as long as the cluster has its head."""
        assert self._call is not None
        small = self._call[0] == "step" and not self._snapshot_is_due()  # most are, and are to be quick
        get = self._cluster.ray.get if small else self._cluster.get
        while True:
            left = self.placement.deadline_s - (time.monotonic() - self._sent)
            try:
                return get(reference, timeout=max(min(left, 1.0), 0.0))
            except self._cluster.timeout:
                self._cluster.check_head()
                if left <= 0:
                    raise

    def _come_back(self) -> None:
        """Start the worker anew, bring it to where it was, and ask again."""
        self.n_restarts += 1
        self.close()
        self._actor = self._spare.take() or self._new()
        calls = [*self._attributes, *self._since]
        self._sent = time.monotonic()
        work = self._build, self._images, self._state, calls
        self._wait(self._cluster.patiently(partial(self._actor.take_over.remote, *work)))
        self._ask()
        self._spare.start()

    def _remember(self, call: Call, state: Any) -> None:
        if call[0] == "call" and call[1][:1] == ("set_attr",):
            self._attributes.append(call)
        elif state is None:
            self._since.append(call)
        else:
            self._state, self._since = state, []

    def _reason(self, error: Exception) -> str:
        if isinstance(error, self._cluster.timeout):
            return (
                f"no answer in {self.placement.deadline_s:g} s: it hangs, or no machine has "
                f"{self.placement.num_cpus:g} CPU cores and {self.placement.num_gpus:g} GPUs left for it"
            )
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]

    def pid(self) -> int:
        """Return the process the worker lives in, on its machine."""
        return int(self._cluster.ray.get(self._actor.pid.remote()))

    def close(self) -> None:
        """End the worker, whatever it is doing; nothing happens the second time."""
        end_host(self._cluster, self._actor)
        self._actor = None


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
        cluster, placement = Cluster.connect(address), placement or Placement()
        self.spare = Spare(cluster, wanted=placement.spare and placement.num_gpus == 0)
        stored = [(kind, share_patches(cluster, kind)) for kind in kinds]
        shares = [(kind, images, n) for kind, images in stored for n in kind.shares]
        self.remote: list[RayLink] = []
        for i, (kind, images, n) in enumerate(shares):
            name = f"remote worker {i + 1} of {len(shares)}"
            build = partial(Worker, kind.env_id, n, moves, kind.kwargs)
            self.remote.append(RayLink(cluster, build, name, placement, self.spare, images))
        try:
            super().__init__(self.remote, [n for _, _, n in shares])
            self.spare.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all workers, and the spare; nothing happens the second time."""
        super().close()
        self.spare.close()

    @property
    def n_restarts(self) -> int:
        """How often a worker was lost and started anew."""
        return sum(link.n_restarts for link in self.remote)
