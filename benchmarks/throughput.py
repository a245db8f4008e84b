"""What this package costs: its GAN step beside a plain loop, its environments' overhead, its populations.

    python -m benchmarks.throughput --out DIR [--quick]

Writes `throughput.json` (ratios alone), `seconds.json` (times, device, threads, versions) and
`throughput.png`. What is compared is timed in turn, so that what else runs on the machine slows both sides.

Seconds of an inner step of `GANTrainer` over those of `PlainLoop`, on the networks, data and batch size of
`GridGAN-v0` (`mlp`) and `HistoGAN-v0` (`conv`):

- `trainer_over_plain_mlp`, `trainer_over_plain_conv`: the plain loop keeps no averaged generator;
- `trainer_over_plain_mlp_ema`, `trainer_over_plain_conv_ema`: it keeps one, as the trainer does;
- `trainer_over_plain_conv_channels_last`: its networks lie channels last, as the trainer's do.

Share of an env step that is not the GAN's own updates, at the contract's defaults:

- `env_overhead_grid`, `env_overhead_histo`, and with two threads `env_overhead_grid_2_threads`,
  `env_overhead_histo_2_threads` (not with `--quick`).

GAN steps a second of a population of MLP GANs (`GridGAN-v0` by `gym.make_vec`), scoring included:

- `population32_over_single`: over those of as many single environments in one process, one thread each side;
- `population32_over_subproc`: over those of `SubprocVecEnv` with two workers of one thread, each of which
  steps half of the environments in turn; the population has two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.costs import N_WORKERS, Costs, Scale, threads
from benchmarks.timing import Ratio
from gan_gym.devices import resolve_device

QUICK = Scale(repeats=5, trainer_repeats=15, threads=(1,))


def measure(scale: Scale, device: torch.device) -> Costs:
    """Measure everything, with one thread where a name does not say otherwise."""
    with tqdm(total=scale.n_pairs, unit="pair") as bar, threads(1):
        costs = Costs(scale, device, bar)
        costs.imports()
        costs.trainers()
        costs.overheads()
        costs.populations()
    return costs


def conditions(scale: Scale, device: torch.device) -> dict[str, Any]:
    """Return what the figures hold for."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": {"otherwise": 1, "*_2_threads": 2, "population32_over_subproc": N_WORKERS},
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
    lines = ["| ratio | median | 95 % interval |", "|---|---|---|"]
    for name, r in costs.ratios.items():
        lines.append(f"| {name} | {r.ratio:.3f} | {r.low:.3f} to {r.high:.3f} |")
    lines += ["", "| time | ms |", "|---|---|"]
    lines += [f"| {name} | {1000 * seconds:.2f} |" for name, seconds in costs.seconds.items()]
    return "\n".join(lines)


def plot(ratios: dict[str, Ratio], path: Path) -> None:
    """Draw the ratios of each kind on an axis of its own; dashed: as fast as the other side, or 10 %."""
    kinds = (
        ("trainer_over_plain_", "GANTrainer over plain loop, seconds", 1.0),
        ("env_overhead_", "share of an env step", 0.1),
        ("population32_over_", "population over others, GAN steps/s", 1.0),
    )
    figure = Figure(figsize=(12, 3), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (prefix, label, line) in zip(figure.subplots(1, 3), kinds, strict=True):
        group = {n.removeprefix(prefix): r for n, r in reversed(ratios.items()) if n.startswith(prefix)}
        for height, r in enumerate(group.values()):
            axis.barh(height, r.ratio, height=0.6, color="C0")
            axis.plot([r.low, r.high], [height, height], color="black", linewidth=2)
            axis.annotate(f"  {r.ratio:.3g}", (max(r.high, r.ratio), height), va="center")
        axis.axvline(line, color="C3", linestyle="--", linewidth=1)
        axis.set_yticks(range(len(group)), [name.replace("_", " ") for name in group])
        axis.set_xlim(0, 1.2 * axis.get_xlim()[1])
        axis.set_title(prefix.rstrip("_").replace("_", " "))
        axis.set_xlabel(label)
    figure.savefig(path, dpi=120)


def write(costs: Costs, scale: Scale, device: torch.device, out: Path) -> None:
    """Write the files of the contract."""
    ratios = {name: asdict(ratio) for name, ratio in costs.ratios.items()}
    (out / "throughput.json").write_text(json.dumps(ratios, indent=1) + "\n")
    details = {"seconds": costs.seconds, **conditions(scale, device)}
    (out / "seconds.json").write_text(json.dumps(details, indent=1) + "\n")
    plot(costs.ratios, out / "throughput.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, one thread: two minutes")
    parser.add_argument("--device", default="cpu", help="where GANs are trained: cpu, cuda or auto")
    options = parser.parse_args(arguments)
    scale, device = QUICK if options.quick else Scale(), resolve_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    costs = measure(scale, device)
    write(costs, scale, device, options.out)
    print(to_table(costs))


if __name__ == "__main__":
    main()
