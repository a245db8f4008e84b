"""The folder of a run: it appears whole, and what is written to it can be cut back to a checkpoint."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from agents.config import TrainConfig
from gan_gym.checkpoint import replace_file

PACKAGES = ("gan-gym", "torch", "timm", "gymnasium", "stable-baselines3", "sb3-contrib", "numpy", "safetensors")
"""Packages whose versions are recorded."""


def check_new(out: Path, what: str) -> None:
    """Check that `out` can become a new folder.

    Raises:
        ValueError: if it exists or cannot be made; the message says what to do.
    """
    if out.is_file():
        raise ValueError(f"--out '{out}' is a file; give a folder that does not exist yet")
    if (out / "config.yaml").is_file():
        raise ValueError(f"--out '{out}' already holds a run; continue it with --resume, or give another folder")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"--out '{out}' is not empty; give a folder that does not exist yet for the {what}")
    parent = _nearest_existing(out.absolute().parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"--out '{out}' cannot be made: '{parent}' is not writable; give another folder")


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def create_run(out: Path, config: TrainConfig) -> None:
    """Make a run folder with its configuration, command and environment, and move it to `out` by rename."""
    part = out.with_name(f".{out.name}.part-{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        (part / "config.yaml").write_text(yaml.safe_dump(asdict(config), sort_keys=False))
        (part / "command.txt").write_text(shlex.join(["gan-gym", *sys.argv[1:]]) + "\n")
        (part / "env.json").write_text(json.dumps(describe_machine(), indent=1) + "\n")
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def read_config(run: Path) -> TrainConfig:
    """Read the configuration a run was started with.

    Raises:
        ValueError: if the folder holds no run.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise ValueError(f"'{run}' holds no run to resume (config.yaml is missing); start one without --resume")
    try:
        return TrainConfig(**yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, TypeError) as error:
        raise ValueError(f"'{path}' is damaged ({' '.join(str(error).split())}); restore it or start anew") from None


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
        if len(kept) < n_rows:
            raise ValueError(f"'{path}' has {len(kept)} rows, the checkpoint {n_rows}; restore it or start anew")
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
