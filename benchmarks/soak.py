"""Train and evaluate small GANs for an hour in one process, and see whether memory or open files grow.

    python -m benchmarks.soak --out DIR [--minutes 60]

Each round is a whole `gan-gym train`, reward model, checkpoints and report included, and a `gan-gym evaluate`
of it; every fifth refines the reward model. `DIR/soak.jsonl` holds a row a round (resident memory, open
files, threads), `DIR/soak.json` the verdict, `DIR/soak.png` the course. Needs Linux's `/proc`. The exit code
is 1 where something grew.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from agents import cli
from benchmarks.faults import patches
from benchmarks.provenance import command, commit

N_WARM_UP = 10
"""Rounds before growth counts: caches fill, libraries load."""
FEWEST = N_WARM_UP + 3
"""Rounds that there are at least, however few the minutes."""
MOST_GROWTH = 0.05
"""Share of the resident memory after the warm-up that it may grow by, from there to the end."""
REFINED_EVERY = 5
FLAGS = "--image_size 16 --batch_size 8 --inner_steps 4 --n_images 640 --held_out 0.3 --device cpu"
EVALUATED = 64
"""Generated patches that are evaluated."""


@dataclass(frozen=True)
class Use:
    """What the process held after a round."""

    minutes: float
    """Since the start."""
    resident_mb: float
    n_files: int
    """Open file handles."""
    n_threads: int


def used(began: float) -> Use:
    """Return what this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Use(
        minutes=(time.monotonic() - began) / 60,
        resident_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        n_files=len(os.listdir("/proc/self/fd")),
        n_threads=len(os.listdir("/proc/self/task")),
    )


def verdict(uses: Sequence[Use]) -> dict[str, float | bool]:
    """Say how much grew after the warm-up, memory by a line through the rounds, `FEWEST` at least."""
    warm = uses[N_WARM_UP:]
    minutes = np.array([use.minutes for use in warm])
    slope, start = np.polyfit(minutes - minutes[0], [use.resident_mb for use in warm], 1)
    grown = float(slope * (minutes[-1] - minutes[0]) / start)
    files = max(use.n_files for use in warm[len(warm) // 2 :]) - max(
        use.n_files for use in warm[: len(warm) // 2]
    )
    threads = warm[-1].n_threads - warm[0].n_threads
    return {
        "flat": grown <= MOST_GROWTH and files <= 0 and threads <= 0,
        "n_rounds": len(uses),
        "minutes": uses[-1].minutes,
        "resident_mb": float(start),
        "resident_growth": grown,
        "resident_mb_per_hour": float(60 * slope),
        "more_files": files,
        "more_threads": threads,
    }


def one_round(number: int, data: Path, folder: Path) -> None:
    """Train a GAN and evaluate it, by the commands that users give."""
    run = folder / "run"
    refined = "refine" if number % REFINED_EVERY == REFINED_EVERY - 1 else "shipped"
    train = ["train", "--data", str(data), "--out", str(run), *FLAGS.split(), "--seed", str(number)]
    evaluate = ["evaluate", "--run", str(run), "--n", str(EVALUATED)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        codes = [cli.main([*train, "--reward_model", refined]), cli.main(evaluate)]
    if any(codes):
        raise RuntimeError(f"round {number} ended with {codes}: {said.getvalue()[-500:]}")
    shutil.rmtree(run)


def draw(uses: Sequence[Use], path: Path) -> None:
    """Draw memory, files and threads over time."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    minutes = [use.minutes for use in uses]
    upper.plot(minutes, [use.resident_mb for use in uses])
    upper.axvline(minutes[min(N_WARM_UP, len(uses) - 1)], color="0.7", linestyle=":")
    upper.set(
        ylabel="resident memory, MB", ylim=(0, None), title="Training and evaluating, round after round"
    )
    lower.plot(minutes, [use.n_files for use in uses], label="open files")
    lower.plot(minutes, [use.n_threads for use in uses], label="threads")
    lower.set(xlabel="minutes", ylim=(0, None))
    lower.legend(frameon=False, loc="center right")
    figure.savefig(path, dpi=120)


def soak(minutes: float, folder: Path, log: Path) -> list[Use]:
    """Do rounds until the time is over, `FEWEST` at least; write what is held after each."""
    data, began, uses = patches(folder / "data", 200), time.monotonic(), list[Use]()
    with log.open("w") as file, tqdm(total=round(minutes), desc="soak", unit="min") as bar:
        while (time.monotonic() - began) / 60 < minutes or len(uses) < FEWEST:
            one_round(len(uses), data, folder)
            uses.append(used(began))
            print(json.dumps(asdict(uses[-1])), file=file, flush=True)
            bar.n = round(uses[-1].minutes)
            bar.set_postfix_str(f"{uses[-1].resident_mb:.0f} MB, {uses[-1].n_files} files")
    return uses


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, write figures and picture, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        uses = soak(options.minutes, Path(folder), options.out / "soak.jsonl")
    found = verdict(uses)
    origin = {"command": command("benchmarks.soak", None if argv is None else list(argv)), "commit": commit()}
    (options.out / "soak.json").write_text(json.dumps(found | origin, indent=1) + "\n")
    draw(uses, options.out / "soak.png")
    print(
        f"{found['n_rounds']} rounds in {found['minutes']:.0f} minutes: resident memory "
        f"{found['resident_mb']:.0f} MB, grown by {100 * found['resident_growth']:.1f} % "
        f"({found['resident_mb_per_hour']:+.1f} MB an hour); {found['more_files']:+.0f} open files, "
        f"{found['more_threads']:+.0f} threads; {'flat' if found['flat'] else 'NOT FLAT'}"
    )
    return 0 if found["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
