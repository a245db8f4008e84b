"""A Ray cluster: how it is joined, and how the loss of its head is noticed (extra `[ray]`)."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self, TypeVar

from agents.processes import WorkerDied
from agents.stopping import Interruptible

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PATIENCE_S = 10.0
"""Seconds without an answer of its head after which a cluster is lost."""
LONGER = {"RAY_gcs_rpc_server_reconnect_timeout_s": "86400"}
"""Seconds after which Ray ends a process whose head is lost, by default 60: less than a validation takes."""


class HeadLost(WorkerDied):
    """The cluster's head, or Ray on this machine, has gone; what has checkpoints can be resumed."""


class Cluster:
    """A cluster that this process has joined.

    Raises:
        ValueError: from `connect`, if Ray is not installed or there is no such cluster.
    """

    def __init__(self, ray: Any) -> None:
        self.ray, exceptions = ray, ray.exceptions
        self.timeout: type[Exception] = exceptions.GetTimeoutError
        """No answer in time."""
        self.task_error: type[Any] = exceptions.RayTaskError
        """What a call raised; `cause` is the error itself."""
        self.losses: tuple[type[Exception], ...] = (
            exceptions.RayActorError,
            exceptions.GetTimeoutError,
            exceptions.ObjectLostError,
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
        )
        """What the loss of a worker, its machine or its network looks like."""
        context = ray.get_runtime_context()
        host, _, port = str(context.gcs_address).rpartition(":")
        here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        self._head = host, int(port)
        self._here: tuple[str, int] = here["NodeManagerAddress"], here["NodeManagerPort"]
        self._silent_since: float | None = None
        self._lost: str | None = None

    @classmethod
    def connect(cls, address: str) -> Self:
        """Join a cluster, or the one that was joined before.

        Args:
            address: `"local"` starts one on this machine, which ends with this process; `"auto"` is the one
                that this machine belongs to; else `HOST:PORT`.
        """
        if find_spec("ray") is None:
            raise ValueError("Ray is not installed; install it with: pip install 'gan-gym[ray]'")
        ray: Any = import_module("ray")
        if not ray.is_initialized():
            _join(ray, address)
        return cls(ray)

    @property
    def n_cpus(self) -> int:
        """CPU cores of all its machines."""
        return int(self.patiently(self.ray.cluster_resources).get("CPU", 0))

    def patiently(self, function: Callable[[], Result]) -> Result:
        """Return what a call to Ray returns that would wait for ever where the head is lost.

        It has a thread of its own, which is left behind then.

        Raises:
            HeadLost: if the head is lost, now or before.
            Exception: what the call raises.
        """
        self.check_here()
        called: Future[Result] = Future()
        threading.Thread(target=_fulfil, args=(called, function), daemon=True).start()
        while not wait([called], timeout=1.0).done:
            self.check_head()
        return called.result()

    def get(self, reference: Any, timeout: float) -> Any:
        """Return what a reference stands for, as Ray does, but only while Ray is there on this machine.

        What is larger than 100 KB lies in the memory that Ray shares on a machine; where that has gone,
        whoever asks for it is ended by Ray.

        Raises:
            HeadLost: if Ray is lost here.
            Exception: what Ray raises, one of `timeout` and `losses` too.
        """
        ready, _ = self.ray.wait([reference], timeout=timeout, fetch_local=False)
        if not ready:
            raise self.timeout(f"no answer in {timeout:g} s")
        self.check_here()
        return self.ray.get(reference, timeout=timeout)

    def check_head(self) -> None:
        """Raise where the head has not answered for a while; to be called again and again until then.

        Raises:
            HeadLost: after `PATIENCE_S` seconds without an answer, at once if Ray is lost on this machine,
                and ever after.
        """
        self.check_here()
        try:
            socket.create_connection(self._head, timeout=2).close()
            self._silent_since = None
        except OSError:
            self._silent_since = self._silent_since or time.monotonic()
            if time.monotonic() - self._silent_since > PATIENCE_S:
                self._lose("the head of the Ray cluster", self._head)

    def check_here(self) -> None:
        """Raise where the cluster is lost already, or Ray on this machine is.

        Raises:
            HeadLost: then.
        """
        if self._lost:
            raise HeadLost(self._lost)
        try:
            socket.create_connection(self._here, timeout=2).close()
        except ConnectionRefusedError:
            self._lose("Ray on this machine", self._here)
        except OSError:  # it is busy
            pass

    def _lose(self, what: str, address: tuple[str, int]) -> None:
        self._lost = (
            f"{what} ({address[0]}:{address[1]}) is gone, and all workers with it; start the cluster again "
            "and resume"
        )
        raise HeadLost(self._lost)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have `HeadLost` raised in the main thread, which entered this, also while it asks nothing of Ray.

        Where the head is on another machine than this process, Ray ends this a minute after the loss; a
        validation may take longer.
        """
        over = threading.Event()

        def watch() -> None:
            with suppress(HeadLost):
                while not over.wait(1.0):
                    self.check_head()
                return
            interrupt_main()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            with Interruptible():  # for where nothing else answers an interrupt
                try:
                    yield
                finally:
                    over.set()
                    watcher.join()
        except KeyboardInterrupt:
            if self._lost:
                raise HeadLost(self._lost) from None
            raise


def end_without_ray(code: int) -> None:
    """Have this process end, once it does, with `code` and before Ray is run down.

    Where its head is lost, Ray waits for seconds then, and may end the process with 1.
    """

    def end() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    atexit.register(end)  # runs before what was registered earlier


def _fulfil(called: Future[Result], function: Callable[[], Result]) -> None:
    try:
        called.set_result(function())
    except BaseException as error:
        called.set_exception(error)


def _join(ray: Any, address: str) -> None:
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address="local", include_dashboard=False, log_to_driver=False, configure_logging=False)
        return
    for name, value in LONGER.items():
        os.environ.setdefault(name, value)
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"there is no Ray cluster at '{address}' ({' '.join(str(error).split())[:150]}); start one with "
            "ray start --head, or give 'local'"
        ) from error
    if os.environ.get("RAY_AUTH_MODE") != "token":  # which Ray itself sets where it finds a token
        logger.warning(
            "the Ray cluster at '%s' was joined without authentication: whoever reaches its ports can run "
            "code on all its machines; start it, and this, with RAY_AUTH_MODE=token (docs/clusters.md)",
            address,
        )


def _knock(address: str) -> None:
    """Raise where nobody answers at `HOST:PORT`; Ray itself would knock for a minute."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
