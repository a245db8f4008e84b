"""What a cluster of workers costs on this machine, and by a model of it, on 10 to 1,000 GPUs.

    python -m benchmarks.scale --out DIR [--data FOLDER]

Measured: the engine's cost of a message and the efficiency of four workers, by GANs that only sleep beside
the same in this process; the CPU time of real ones, remote and local; snapshots; restarts, without and with a
spare; PPO's own time; with `--data`, patches read by each worker and once for all. Extrapolated
(`scale_model`): the efficiency of up to 1,000 workers, and what they wait for.

`DIR/scale.json` and `DIR/table.md` hold the figures, `DIR/plot.png` the picture. Needs Ray and Linux's
`/proc`. The exit code is 1 where a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.cluster import Cluster
from benchmarks.provenance import command, commit
from benchmarks.scale_costs import N_GANS, measure
from benchmarks.scale_files import draw, engine_of, table
from benchmarks.scale_model import Load, Snapshot


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, extrapolate, write, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--data", type=Path, help="folder of patches, to see how they reach the workers")
    parser.add_argument("--image_size", type=int, default=96, help="of the patches of --data, pixels a side")
    parser.add_argument("--quick", action="store_true", help="few repeats")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("RAY_worker_niceness", "0")  # what runs beside it must not starve the workers alone
    cluster = Cluster.connect("local")
    try:
        figures = measure(cluster, 20 if options.quick else 100, options.data, options.image_size)
    finally:
        cluster.ray.shutdown()
    figures = {
        "conditions": f"`{_said(argv)}` at {commit() or 'no commit'}, {os.cpu_count()} CPU cores, "
        f"Ray {cluster.ray.__version__}, no GPU.",
        "targets": targets(figures),
        **figures,
    }
    asked = loads(figures)
    figures["model"] = {"engine": asdict(engine_of(figures)), "loads": [asdict(load) for load in asked]}
    (options.out / "scale.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.out / "table.md").write_text(table(figures, asked))
    draw(figures, asked, options.out / "plot.png")
    print(table(figures, asked))
    return 0 if all(kept for _, _, kept in figures["targets"].values()) else 1


def _said(argv: Sequence[str] | None) -> str:
    """Return the command without the paths of this machine."""
    words = command("benchmarks.scale", None if argv is None else list(argv)).split()
    for option in ("--out", "--data"):
        if option in words:
            words[words.index(option) + 1] = "DIR"
    return " ".join(words)


def targets(figures: dict[str, Any]) -> dict[str, tuple[float, str, bool]]:
    """Return what was found, what was wanted, and whether that was kept, by target."""
    share, message = figures["efficiency"]["100"], figures["messages"]["one_ms"]
    restart = figures["restarts"]["spare_s"]
    return {
        "efficiency of 4 workers at 100 ms": (share, ">= 0.95", share >= 0.95),
        "engine, ms a message": (message, "<= 3", message <= 3),
        "restart with a spare, s": (restart, "<= 2", restart <= 2),
    }


def loads(figures: dict[str, Any]) -> list[Load]:
    """Return the trainings the model is asked about, with snapshots as they were measured."""
    mlp, conv = (
        Snapshot(1e6 * found["mb"], found["unpacked_ms"] / 1e3)
        for found in (figures["snapshots"]["mlp"], figures["snapshots"]["conv"])
    )
    histo = figures["env_steps"]["histo_s"]
    return [
        Load(f"0.1 s, {N_GANS} MLP GANs", 0.1, N_GANS, mlp),
        Load(f"{histo:.1f} s, a patch GAN (as on this CPU)", histo, 1, conv),
        Load(f"{histo / 10:.2f} s, a patch GAN (ten times faster)", histo / 10, 1, conv),
        Load("10 s, a patch GAN (larger)", 10.0, 1, conv),
    ]


if __name__ == "__main__":
    sys.exit(main())
