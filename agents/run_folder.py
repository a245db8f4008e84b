"""The folder of a run: it appears whole, and what is written to it can be cut back to a checkpoint."""

from __future__ import annotations

import errno
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from agents.config import TrainConfig
from gan_gym.checkpoint import replace_file
from gan_gym.names import one_line

PACKAGES = (
    "gan-gym",
    "torch",
    "timm",
    "gymnasium",
    "stable-baselines3",
    "sb3-contrib",
    "numpy",
    "safetensors",
)
"""Packages whose versions are recorded."""


def check_new(out: str, what: str, *, probe: bool = True) -> Path:
    """Return the path of a new folder, links resolved, after making sure that it can be made.

    Args:
        out: what the user gave.
        what: what the folder is for, in messages.
        probe: whether to make and remove an empty folder beside it: some places look writable and are not.

    Raises:
        ValueError: if it exists and is not empty, or cannot be made; the message says what to do.
    """
    if not out:
        raise ValueError(f"--out is empty; give a folder that does not exist yet for the {what}")
    path = Path(os.path.realpath(out))
    if any("\ud800" <= c <= "\udfff" for c in str(path)):  # TensorBoard cannot write there
        raise ValueError(f"--out '{one_line(out)}' is no readable text; give a folder whose name is")
    if path.is_symlink():
        raise ValueError(
            f"--out '{out}' is a link that leads back to itself; remove it or give another folder"
        )
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out '{out}' is a file; give a folder that does not exist yet")
    if (path / "config.yaml").is_file() and what == "run":
        raise ValueError(
            f"--out '{out}' already holds a run; continue it with --resume, or give another folder"
        )
    if path.is_mount():
        raise ValueError(f"--out '{out}' is where a disk is mounted; give a new folder in it for the {what}")
    if path.exists() and any(path.iterdir()):
        raise ValueError(f"--out '{out}' is not empty; give a folder that does not exist yet for the {what}")
    parent = _nearest_existing(path.parent)
    try:
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if probe:
            os.rmdir(tempfile.mkdtemp(prefix=f".{path.name}."[:32], dir=parent))
    except OSError as error:
        raise ValueError(
            f"--out '{out}' cannot be made ({error.strerror} in '{parent}'); give another folder or change "
            "its permissions"
        ) from None
    return path


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to fill; it becomes `out` by rename, or vanishes where that fails."""
    part = out.with_name(f".{out.name}.part")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        part.mkdir()
        yield part
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def create_run(out: Path, config: TrainConfig, **records: Mapping[str, Any]) -> None:
    """Make a run folder with its configuration, command, environment and other records, by rename."""
    with new_folder(out) as part:
        (part / "config.yaml").write_text(
            yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True), "utf-8"
        )
        (part / "command.txt").write_text(
            shlex.join(["gan-gym", *sys.argv[1:]]) + "\n", "utf-8", "backslashreplace"
        )
        for name, record in {"env": describe_machine(), **records}.items():
            (part / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")


def read_config(run: str) -> TrainConfig:
    """Read the configuration a run was started with.

    Raises:
        ValueError: if the folder holds no run.
    """
    path = Path(run, "config.yaml")
    if not path.is_file():
        raise ValueError(
            f"'{run}' holds no run (config.yaml is missing); give the --out folder of a gan-gym train"
        )
    try:
        return TrainConfig(**yaml.safe_load(path.read_bytes()))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"'{path}' is damaged ({' '.join(str(error).split())}); restore it or start anew"
        ) from None


def describe_machine() -> dict[str, Any]:
    """Return versions and device names, for `env.json` and `gan-gym doctor`."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": versions,
    }


class MetricsFile:
    """`metrics.jsonl`: one row an env step, without clock and path.

    Args:
        path: the file.
        n_rows: rows to keep of what is there; the rest was written after the checkpoint that is continued.
    """

    def __init__(self, path: Path, n_rows: int) -> None:
        kept = path.read_bytes().splitlines(keepends=True)[:n_rows] if path.is_file() else []
        if len(kept) < n_rows or not b"".join(kept[-1:]).endswith(b"\n" if n_rows else b""):
            raise ValueError(
                f"'{path}' holds less than the checkpoint's {n_rows} rows; restore it or start anew"
            )
        replace_file(path, b"".join(kept))
        self._file = path.open("a")
        self.n_rows = n_rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row; it reaches the disk with the next checkpoint at the latest."""
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()
        self.n_rows += 1

    def sync(self) -> None:
        """Flush all rows to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
