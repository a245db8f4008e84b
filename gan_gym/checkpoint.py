"""Checkpoints that are whole or not there: safetensors and JSON, with sha256 in a manifest.

A checkpoint is written beside its place, flushed to the disk, and moved there by rename; `LATEST` is replaced
the same way. Nothing that runs code is ever read back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

logger = logging.getLogger(__name__)

SCHEMA = 3
"""Version of the files' layout."""
_TENSORS, _VALUES, _MANIFEST = "state.safetensors", "state.json", "manifest.json"
_LATEST, _BEST = "LATEST", "BEST"
_DAMAGE = (OSError, KeyError, TypeError, ValueError, RecursionError, SafetensorError)
"""What reading a damaged checkpoint raises."""


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read: one line that names what, where and the remedy."""


def save_checkpoint(
    folder: Path,
    n_images: int,
    tensors: dict[str, Tensor],
    values: dict[str, Any],
    *,
    keep: int = 2,
    best: bool = False,
) -> Path:
    """Write a checkpoint into `folder`, and drop those of later images and all but the newest `keep`.

    Later ones are left of a run that went back. The best stays however old it is, and `BEST` names it.

    Args:
        folder: the run's folder of checkpoints.
        n_images: images seen; names the checkpoint.
        tensors: tensors by name.
        values: JSON-able values without NaN.
        keep: checkpoints to keep.
        best: whether this is the best so far.

    Raises:
        CheckpointError: if the folder cannot be written to.
    """
    final = folder / f"ckpt-{n_images:09d}"
    part = folder / f".{final.name}.part"
    contents = {
        _TENSORS: save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}),
        _VALUES: json.dumps(values, allow_nan=False).encode(),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[_MANIFEST] = json.dumps({"schema": SCHEMA, "sha256": hashes}, indent=1).encode()
    try:
        folder.mkdir(exist_ok=True)  # not its parents: a run that has vanished stays so
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name, content in contents.items():
            write_synced(part / name, content)
        sync_folder(part)
        shutil.rmtree(final, ignore_errors=True)
        if best:  # first: a run that is killed in between does this step again
            replace_file(folder / _BEST, final.name.encode())
        part.rename(final)
        replace_file(folder / _LATEST, final.name.encode())
        sync_folder(folder)
        found, kept_best = _newest_first(folder), _best(folder)
        earlier = [path for path in found if _n_images(path) <= n_images]
        kept = earlier[:keep] + [path for path in earlier[keep:] if path == kept_best]
        for path in found:
            if path not in kept:
                shutil.rmtree(path)
    except OSError as error:
        raise CheckpointError(
            f"cannot write a checkpoint to {folder} ({error.strerror}); the one before it is intact: free "
            "space, make it writable or bring it back, then --resume"
        ) from error
    return final


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the newest whole checkpoint in `folder`, or `None` if none was ever finished.

    A damaged one is reported and the one before it used.

    Raises:
        CheckpointError: if there are checkpoints and none is whole.
    """
    found = _newest_first(folder)
    for path in found:
        try:
            return _read(path)
        except _DAMAGE as error:
            logger.warning("checkpoint %s is damaged (%s); using the one before it", path, _reason(error))
    if found:
        raise CheckpointError(f"no checkpoint in {folder} is whole; train again into another folder")
    return None


def load_best(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the best checkpoint in `folder`.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    path = _best(folder)
    if path is None:
        raise CheckpointError(f"{folder} names no best checkpoint; train with this version")
    try:
        return _read(path)
    except _DAMAGE as error:
        raise CheckpointError(
            f"the best checkpoint, {path}, is damaged ({_reason(error)}); use the last generator"
        ) from None


def _best(folder: Path) -> Path | None:
    """Return the folder that `BEST` names; what leads elsewhere is none."""
    try:
        name = (folder / _BEST).read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return next((path for path in _newest_first(folder) if path.name == name), None)


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("ckpt-*") if path.name.removeprefix("ckpt-").isdecimal()]
    return sorted(found, key=_n_images, reverse=True)


def _n_images(path: Path) -> int:
    return int(path.name.removeprefix("ckpt-"))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    manifest = json.loads((path / _MANIFEST).read_bytes())
    if manifest["schema"] != SCHEMA:
        raise ValueError(f"schema {manifest['schema']}, this version reads {SCHEMA}")
    contents = {name: (path / name).read_bytes() for name in (_TENSORS, _VALUES)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} does not match its sha256")
    return load(contents[_TENSORS]), json.loads(contents[_VALUES])


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.part")
    write_synced(part, content)
    part.replace(path)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
