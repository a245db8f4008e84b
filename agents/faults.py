"""Tell the user's mistakes, which get one line, from our own, which get a traceback."""

from __future__ import annotations

import dis
import errno
import os
from types import TracebackType

ROOMS = ("agents", "gan_gym", "snn")
"""Packages whose errors are messages to the user."""
_NO_MEMORY = ("OutOfMemoryError", "can't allocate memory")
"""Of what torch raises where a device or the machine has no memory left: the type's name, or words of it."""
_FAULT = "is_fault"
"""Attribute of an error of another process that is no message for the user."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE = (errno.EROFS, errno.EIO, errno.ESTALE)


def message_for_user(error: Exception) -> str | None:
    """Return what to tell the user, or `None` where the error is our own fault.

    A `ValueError` or `TypeError` is a message if a `raise` in one of our rooms made it; one that Python or a
    library raised was meant for us.
    """
    if getattr(error, _FAULT, False):
        return None
    if isinstance(error, OSError) and error.filename is not None:
        name = os.fsdecode(error.filename)
        return f"{error.strerror}: '{name}'; choose another path, bring it back or change its permissions"
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error.strerror}; free some space, then go on (a run continues with --resume)"
    if isinstance(error, OSError) and error.errno in _GONE:
        return f"{error.strerror}; bring the disk back, then go on (a run continues with --resume)"
    if isinstance(error, ValueError | TypeError | ImportError) and _raised_here(error.__traceback__):
        return str(error)
    if isinstance(error, MemoryError) or any(sign in f"{type(error)} {error}" for sign in _NO_MEMORY):
        return "out of memory; lower --batch_size or --image_size, or free some (runs continue with --resume)"
    if isinstance(error, ImportError):
        return f"{error}; the installation is not complete; in the project's folder: pip install ."
    return None


def judge(error: Exception) -> None:
    """Judge an error where it was raised, before it travels to another process without its traceback."""
    if message_for_user(error) is None:
        setattr(error, _FAULT, True)


def _raised_here(trace: TracebackType | None) -> bool:
    """Say whether the innermost frame is one of ours, and stands at a `raise`."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    room = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
    return room in ROOMS and trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
