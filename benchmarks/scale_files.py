"""The table and the picture of `benchmarks.scale`: what was measured, and apart from it what follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.scale_model import Engine, Load

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
"""Okabe & Ito's, which colour-blind readers tell apart."""
WORKERS = (10, 30, 100, 300, 1000)
"""Numbers of workers, one a GPU, that the model is asked about."""


def engine_of(figures: dict[str, Any]) -> Engine:
    """Return what the model takes from the measured figures."""
    found = figures["messages"]
    return Engine(found["latency_ms"] / 1e3, found["each_ms"] / 1e3, figures["agent"]["of_64_ms"] / 1e3)


def table(figures: dict[str, Any], loads: Sequence[Load]) -> str:
    """Return all figures as Markdown."""
    lines = ["# benchmarks.scale", "", figures["conditions"], "", "## Measured", ""]
    lines += ["| target | found | wanted | kept |", "|---|---|---|---|"]
    for name, (found, wanted, kept) in figures["targets"].items():
        lines.append(f"| {name} | {found:.3g} | {wanted} | {'yes' if kept else 'NO'} |")
    lines += ["", "| figure | value |", "|---|---|"]
    for group, values in figures.items():
        if group not in ("conditions", "targets", "model"):
            lines += [f"| {group.replace('_', ' ')}: {name} | {value:.4g} |" for name, value in _flat(values)]
    lines += ["", "## Extrapolated: share of the env steps in which the workers train", ""]
    lines += ["| env step | " + " | ".join(f"{n} workers" for n in WORKERS) + " | 95 % up to |"]
    lines += ["|---" * (len(WORKERS) + 2) + "|"]
    engine = engine_of(figures)
    for load in loads:
        shares = [engine.efficiency(load.seconds, n, load.n_envs, load.snapshot) for n in WORKERS]
        most = engine.most_workers(load.seconds, load.n_envs, load.snapshot, 0.95)
        lines.append(f"| {load.label} | " + " | ".join(f"{100 * s:.0f} %" for s in shares) + f" | {most:,} |")
    lines += ["", "Seconds of an env step of 1,000 workers besides their own time, by cause:", ""]
    causes = list(engine.parts(1, 1, loads[0].snapshot))
    lines += ["| env step | " + " | ".join(causes) + " |", "|---" * (len(causes) + 1) + "|"]
    for load in loads:
        parts = engine.parts(WORKERS[-1], load.n_envs, load.snapshot).values()
        lines.append(f"| {load.label} | " + " | ".join(f"{part:.3g}" for part in parts) + " |")
    return "\n".join(lines) + "\n"


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for name, value in values.items():
        own = f"{prefix}{name}".replace("_", " ")
        rows += _flat(value, f"{own}, ") if isinstance(value, dict) else [(own, value)]
    return rows


def draw(figures: dict[str, Any], loads: Sequence[Load], path: Path) -> None:
    """Draw the measured efficiency, the modelled one, and what an env step is made of at the end of it."""
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    measured, modelled, causes = figure.subplots(1, 3)
    _measured(measured, figures)
    _modelled(modelled, engine_of(figures), loads)
    _causes(causes, engine_of(figures), loads)
    figure.savefig(path, dpi=110)


def _measured(axis: Axes, figures: dict[str, Any]) -> None:
    found = figures["efficiency"]
    axis.plot([float(ms) for ms in found], [100 * share for share in found.values()], "o-", color=COLOURS[0])
    axis.axhline(95, color="#444444", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="env step, ms (sleeping)", ylabel="efficiency, %", ylim=(0, 105))
    axis.set_xticks([float(ms) for ms in found], list(found))
    axis.set_xticks([], minor=True)
    axis.set_title("Measured: 4 remote workers", fontsize=10)
    axis.grid(alpha=0.3)


def _modelled(axis: Axes, engine: Engine, loads: Sequence[Load]) -> None:
    workers = np.unique(np.geomspace(1, 1000, 60).astype(int))
    for load, colour in zip(loads, COLOURS, strict=False):
        shares = [100 * engine.efficiency(load.seconds, int(n), load.n_envs, load.snapshot) for n in workers]
        axis.plot(workers, shares, color=colour, label=load.label)
    axis.axhline(95, color="#444444", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="workers, one a GPU", ylabel="efficiency, %", ylim=(0, 105))
    axis.set_title("Extrapolated", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, title="env step of a worker", title_fontsize=8)


def _causes(axis: Axes, engine: Engine, loads: Sequence[Load]) -> None:
    bottoms = np.zeros(len(loads))
    parts = [engine.parts(WORKERS[-1], load.n_envs, load.snapshot) for load in loads]
    for cause, colour in zip(parts[0], COLOURS, strict=False):
        heights = np.array([each[cause] for each in parts])
        axis.bar(range(len(loads)), heights, bottom=bottoms, color=colour, label=cause)
        bottoms += heights
    axis.set_xticks(range(len(loads)), [load.label for load in loads], fontsize=8, rotation=15, ha="right")
    axis.set(ylabel="seconds an env step", ylim=(0, 1.3 * max(bottoms)))  # the legend lies above
    axis.set_title("Extrapolated: what 1,000 workers wait for", fontsize=10)
    axis.legend(fontsize=8)
