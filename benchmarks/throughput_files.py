"""The files and the table of `benchmarks.throughput`."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch

from benchmarks.costs import Costs, Scale
from benchmarks.population_costs import N_WORKERS
from benchmarks.throughput_plot import plot


def device_name(device: torch.device) -> str:
    """Return the name of the device by which figures can be told apart."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def conditions(scale: Scale, device: torch.device) -> dict[str, Any]:
    """Return what the figures hold for."""
    return {
        "device": device_name(device),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": {
            "otherwise": 1,
            "*_2_threads": 2,
            "population, 2 threads": N_WORKERS,
            "make_env, subproc, async": "one a process",
        },
        "scale": asdict(scale),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "gymnasium": gym.__version__,
            "stable_baselines3": stable_baselines3.__version__,
            "numpy": np.__version__,
        },
    }


def to_table(costs: Costs) -> str:
    """Return all figures as Markdown."""
    lines = [f"Device: {device_name(costs.device)}, {os.cpu_count()} CPU cores", ""]
    lines += costs.notes
    lines += ["", "| ratio | median | 95 % interval |", "|---|---|---|"]
    for name, r in costs.ratios.items():
        lines.append(f"| {name} | {r.ratio:.3f} | {r.low:.3f} to {r.high:.3f} |")
    lines += ["", "| time | ms |", "|---|---|"]
    lines += [f"| {name} | {1000 * seconds:.3f} |" for name, seconds in costs.seconds.items()]
    for curve in (curve for curve in costs.curves if curve.unit == "s"):
        lines += [
            f"| inner step, {curve.label}, {x} {curve.x_label} | {1000 * r.ratio:.3f} |"
            for x, r in zip(curve.x, curve.y, strict=True)
        ]
    lines += ["", "| rate | per second |", "|---|---|"]
    lines += [f"| {name} | {rate:.1f} |" for name, rate in costs.rates.items()]
    return "\n".join(lines)


def write(costs: Costs, out: Path) -> None:
    """Write the files of the contract."""
    ratios = {name: asdict(ratio) for name, ratio in costs.ratios.items()}
    (out / "throughput.json").write_text(json.dumps(ratios, indent=1) + "\n")
    details = {
        "seconds": costs.seconds,
        "per_second": costs.rates,
        "curves": [asdict(curve) for curve in costs.curves],
        "notes": costs.notes,
        **conditions(costs.scale, costs.device),
    }
    (out / "seconds.json").write_text(json.dumps(details, indent=1) + "\n")
    plot(costs.ratios, costs.curves, device_name(costs.device), out / "throughput.png")
