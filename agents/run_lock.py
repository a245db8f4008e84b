"""One process a folder: whoever comes second is told who was first."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gan_gym.checkpoint import replace_file

logger = logging.getLogger(__name__)

_LOCK, _OWNER = ".lock", ".owner.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes; the system lets go of it however this one ends.

    Where the file system knows no locks a warning says so, and nothing is held.

    Raises:
        ValueError: if another process holds it; names that process and the machine.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"'{folder}' is in use by {_owner(folder)}; wait until it has ended, or stop it"
        ) from None
    except (OSError, NotImplementedError) as error:
        logger.warning("'%s' cannot be locked (%s); let no other process write to it", folder, error)
        yield
        return
    owner = folder / _OWNER
    try:
        replace_file(owner, json.dumps({"process": os.getpid(), "machine": socket.gethostname()}).encode())
        yield
    finally:
        for file in (owner, folder / _LOCK):  # whoever has opened the lock meanwhile sees that it is gone
            file.unlink(missing_ok=True)
        lock.release()


def _owner(folder: Path) -> str:
    try:
        found = json.loads((folder / _OWNER).read_bytes())
        return f"process {int(found['process'])} on '{found['machine']}'"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
