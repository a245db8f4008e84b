"""Kill training at random moments, resume it, and compare its end with an undisturbed one, byte by byte."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMPARED = (
    "generator.safetensors",
    "best/generator.safetensors",
    "metrics.jsonl",
    "snn/model.safetensors",
    "samples/*.png",
    "controller/*",
)
"""Files of a run folder that must be equal."""
MOST_KILLS = 12
"""Of one run, which then goes on undisturbed."""


@dataclass(frozen=True)
class KilledRun:
    """One run that was killed, and ended."""

    kills: Sequence[str]
    """What it did each time: `starting`, `fitting`, `training`, `writing` (a checkpoint) or `ending`."""
    different: Sequence[str]
    """Files that differ from those of the undisturbed run."""


def digests(run: Path) -> dict[str, str]:
    """Return the sha256 of the compared files by their names."""
    return {
        str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest()
        for pattern in COMPARED
        for file in sorted(run.glob(pattern))
    }


def moment(run: Path) -> str:
    """Say what a run that was just killed was doing, by what it left."""
    if any(run.glob("checkpoints/.*.part")) or any(run.glob(".snn.fit/.*.part")):
        return "writing"
    if (run / "generator.json").is_file():
        return "ending"
    if (run / "metrics.jsonl").is_file():
        return "training"
    return "fitting" if (run / ".snn.fit").is_dir() else "starting"


def kill_runs(command: Sequence[str], folder: Path, n_kills: int, seed: int = 0) -> Iterator[KilledRun]:
    """Kill runs until there were so many kills; yield each run as it ends.

    Args:
        command: of a training on the CPU, without `--out`.
        folder: where the runs go.
        n_kills: SIGKILLs in all.
        seed: of the moments.

    Raises:
        RuntimeError: if the undisturbed run, or one that is resumed, fails.
    """
    rng = random.Random(seed)
    whole = folder / "whole"
    began = time.monotonic()
    _finish(_start(command, whole), whole)
    length = time.monotonic() - began
    wanted = digests(whole)
    done = 0
    while done < n_kills:
        run, kills = folder / f"killed_{done}", list[str]()
        while True:
            process = _start(command, run)
            if len(kills) == MOST_KILLS or done == n_kills:
                _finish(process, run)
                break
            try:
                process.wait(timeout=rng.uniform(0.1, 0.9) * length)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills.append(moment(run))
                done += 1
            else:
                _finish(process, run)
                break
        found = digests(run)
        different = [name for name in sorted(wanted | found) if wanted.get(name) != found.get(name)]
        yield KilledRun(kills, different)


def _start(command: Sequence[str], out: Path) -> subprocess.Popen[str]:
    resume = ["--resume"] if (out / "config.yaml").is_file() else []
    return subprocess.Popen(
        [sys.executable, "-m", "agents.cli", *command, "--out", str(out), *resume],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str], run: Path) -> None:
    _, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the run in {run} ended with {process.returncode}: {err[-500:]}")
