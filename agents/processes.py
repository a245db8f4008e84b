"""Workers in processes of their own, and messages to them.

A worker needs nothing of the user's script, which is therefore not run again in it: `multiprocessing`'s usual
`if __name__ == "__main__":` is not asked for.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from types import ModuleType
from typing import Any

import torch
import torch._inductor.config as inductor
from tqdm import tqdm

from agents.faults import judge

PRELOADED = ("agents.workers",)
"""Imported once by the server that forks the workers, not once by each of them."""


class WorkerDied(RuntimeError):
    """A process that was asked for something has gone, or can no longer be understood."""


class WorkerProcess:
    """A worker in a process of its own, on one thread.

    The process is a daemon: it ends with this one, and may have no children. Ctrl-C does not reach it.

    Args:
        build: makes the worker there, at the first message; picklable.
        name: what it is called in errors.
    """

    def __init__(self, build: Callable[[], object], name: str) -> None:
        multiprocessing.set_forkserver_preload([*PRELOADED])
        context = _context()
        self.name = name
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, build), name=name, daemon=True)
        with _script_hidden():
            self.process.start()
        theirs.close()
        self._n_owed = 0
        self._whole = True

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of one of the worker's methods; answers never fetched are dropped.

        Raises:
            WorkerDied: if the process has died, or was closed.
        """
        message = pickle.dumps((method, args, kwargs), pickle.HIGHEST_PROTOCOL)
        while self._n_owed:  # an interrupt kept them from being fetched
            self._answer()
        with self._exchange():
            self._connection.send_bytes(message)
            self._n_owed += 1

    def receive(self) -> Any:
        """Wait for what the call returns.

        Raises:
            Exception: what the call raised, as it was raised there.
            WorkerDied: if the process has died, or was closed.
        """
        succeeded, value = self._answer()
        if not succeeded:
            raise value
        return value

    def _answer(self) -> tuple[bool, Any]:
        with self._exchange(waiting=True):
            message = self._connection.recv_bytes()
            self._n_owed -= 1
        answer: tuple[bool, Any] = pickle.loads(message)  # noqa: S301 (from our own process)
        return answer

    @contextmanager
    def _exchange(self, waiting: bool = False) -> Iterator[None]:
        """Notice a death, and that an interrupt came within a message: what follows makes no sense then."""
        if not self._whole:
            raise WorkerDied(f"{self.name} was interrupted within a message; make the environment anew")
        try:
            if waiting:
                self._connection.poll(None)  # an interrupt here tears nothing
            self._whole = False
            yield
            self._whole = True
        except (EOFError, OSError) as error:
            self._whole = True
            raise self._death() from error

    def _death(self) -> WorkerDied:
        if self._connection.closed:
            return WorkerDied(f"{self.name} was closed; make the environment anew")
        self.process.join(timeout=5)
        code = self.process.exitcode
        cause = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        return WorkerDied(
            f"{self.name} died ({cause}), and its GANs with it; where memory ran out, give fewer n_envs or "
            "n_processes; make the environment anew"
        )

    def close(self) -> None:
        """End the process, whatever it is doing; nothing happens the second time."""
        if not self._connection.closed:
            self._connection.close()
            self.process.kill()
            self.process.join()
            self.process.close()


def _context() -> SpawnContext | ForkServerContext:
    """Return the way of starting processes that is safe where threads or a GPU are in use."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def _serve(connection: Connection, build: Callable[[], object]) -> None:
    """Answer messages until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches all processes of a terminal; ours decides
    torch.set_num_threads(1)
    inductor.compile_threads = 1  # one core is this worker's share
    tqdm.set_lock(threading.RLock())  # its own, made when updates are compiled, would outlive the process
    target: object = None
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            method, args, kwargs = pickle.loads(message)  # noqa: S301 (from our own process)
            target = build() if target is None else target
            value = getattr(target, method)(*args, **kwargs)
            answer = pickle.dumps((True, value), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            answer = _failure(error)
        try:
            connection.send_bytes(answer)
        except OSError:
            return


def _failure(error: Exception) -> bytes:
    """Return the answer that raises `error` at the other end; its traceback becomes a note."""
    note = "In a worker process:\n" + "".join(traceback.format_exception(error))
    error.add_note(note)
    judge(error)
    try:
        answer = pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
        pickle.loads(answer)  # noqa: S301 (made in the line above)
    except Exception:  # some exceptions cannot be pickled, or made again of what they hold
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.add_note(note)
        return pickle.dumps((False, plain), pickle.HIGHEST_PROTOCOL)
    return answer


@contextmanager
def _script_hidden() -> Iterator[None]:
    """Have `multiprocessing` see a `__main__` without a file, so that it runs none."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
