"""Kill training at random moments, resume it, and compare its end with an undisturbed one, byte by byte."""

from __future__ import annotations

import hashlib
import itertools
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


def moment(run: Path, since: float) -> str:
    """Say what a process that began at the time `since` is or was doing, by what it has written."""
    signs = {
        "writing": (*run.glob("checkpoints/.*.part"), *run.glob(".snn.fit/.*.part")),
        "ending": (run / "generator.json",),
        "training": (run / "metrics.jsonl",),
        "fitting": (run / "config.yaml",) if not (run / "snn").is_dir() else (),  # what a new run does first
    }
    return next((name for name, files in signs.items() if any(_changed(f, since) for f in files)), "starting")


def _changed(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since
    except OSError:  # not there, or no longer
        return False


def _aim(run: Path, rng: random.Random) -> str:
    """Choose what a process is to be killed at, among what is still to come; anywhere is `""`."""
    begun = any((run / name).exists() for name in ("config.yaml", "snn"))
    return rng.choice(("", "training", "writing") + (() if begun else ("fitting",)))


def _dies(process: subprocess.Popen[str], run: Path, aim: str, delay: float, since: float) -> bool:
    """Kill a process `delay` seconds after it came to what is aimed at; return whether it lived so long."""
    while aim and moment(run, since) != aim:
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    try:
        process.wait(timeout=0 if aim == "writing" else delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    return False


def kill_runs(command: Sequence[str], folder: Path, n_kills: int, seed: int = 0) -> Iterator[KilledRun]:
    """Kill runs until there were so many kills; yield each run as it ends.

    A quarter of the kills or more each are aimed at training, at the writing of a checkpoint and, in a new
    run, at the fit of the reward model; the others come anywhere.

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
    for number in itertools.count():
        if done == n_kills:
            return
        run, kills = folder / f"killed_{number}", list[str]()
        while True:
            since = time.time()
            process = _start(command, run)
            if len(kills) == MOST_KILLS or done == n_kills:
                _finish(process, run)
                break
            aim = _aim(run, rng)
            if not _dies(process, run, aim, rng.uniform(0, 0.3 if aim else 0.9) * length, since):
                _finish(process, run)
                break
            kills.append(moment(run, since))
            done += 1
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
