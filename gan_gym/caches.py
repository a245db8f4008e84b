"""What is kept on the user's disk between runs, and can be deleted at any time."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)


def user_cache(kind: str) -> Path | None:
    """Return the folder of one kind of things: `gan-gym/<kind>` in `$XDG_CACHE_HOME` or `~/.cache`.

    None where there is no home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # as the XDG specification has it
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base, "gan-gym", kind) if os.path.isabs(base) else None


def keep(content: bytes, file: Path) -> bool:
    """Write a file under another name first, so that no other process ever sees half of it.

    Returns:
        Whether it is kept; where the folder cannot be written to, it is done without.
    """
    part = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=file.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(part, file)
    except OSError as error:
        logger.info("%s is not kept (%s)", file, error)
        if part is not None:
            with suppress(OSError):
                os.unlink(part)
        return False
    return True
