"""What tells data that were read before from data that have changed since, without reading them again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gan_gym.data.finding import check_exists, find_images


def data_fingerprint(source: str | None) -> str:
    """Return a hash that changes with the images of a source, as in `load_patches`; none is opened.

    Raises:
        DataError: if the source does not exist, or is a folder without images.
    """
    if source is None:
        return "embedded"
    check_exists(source)
    if os.path.isdir(source):
        return fingerprint(source, find_images(source))
    folder, name = os.path.split(source)
    return fingerprint(folder, [name])


def fingerprint(folder: str | Path, names: Iterable[str]) -> str:
    """Return a hash of where a folder really lies, and of the names, sizes and times of files in it."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(folder)))
    for name in names:
        size = changed = -1  # of a file that cannot be looked at
        with suppress(OSError):
            facts = os.stat(os.path.join(folder, name))
            size, changed = facts.st_size, facts.st_mtime_ns
        digest.update(repr((name, size, changed)).encode())
    return digest.hexdigest()
