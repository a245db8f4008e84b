"""Agents against baselines on the same unseen instances.

    python -m benchmarks.compare --agents pretrained --baselines cosine tuned_schedule --out DIR

Writes `results.jsonl` (one row a GAN), `summary.json`, `table.md` and `plot.png`. Names of `ALGOS` among the
agents are trained on the spot, once for each seed; what an interrupted call has finished is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agents.acting import Agent
from agents.algorithms import ALGOS
from agents.baselines import BASELINES, find_agent
from agents.environments import check_id
from agents.evaluation import evaluate
from agents.training import train
from benchmarks.statistics import interval, iqm, mean
from gan_gym.names import lookup

METRICS = ("final_quality", "best_quality", "modes", "modes20", "hq")
"""Columns of the rows that are summarised."""
QUICK = {"seeds": 1, "episodes": 8, "total_timesteps": 1280}

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    try:
        torch.set_num_threads(1)
        rows = run(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out = Path(options.out)
    summary = summarise(rows)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    table = to_table(summary, options.env)
    (out / "table.md").write_text(table)
    plot(rows, summary, out / "plot.png")
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--out", required=True, help="folder of the results")
    parser.add_argument("--env", default="GridGAN-v0")
    parser.add_argument(
        "--agents", nargs="*", default=["pretrained"], help="shipped names, folders, or ALGOS names"
    )
    parser.add_argument("--baselines", nargs="*", default=["constant", "tuned_schedule"])
    parser.add_argument("--seeds", type=int, default=1, help="seeds an ALGOS name is trained with")
    parser.add_argument("--seed_offset", type=int, default=0, help="first seed, of training and of instances")
    parser.add_argument("--episodes", type=int, default=64, help="instances")
    parser.add_argument("--instances", default="test", choices=["test", "train", "default"])
    parser.add_argument(
        "--total_timesteps", type=int, default=130_000, help="env steps of each training on the spot"
    )
    parser.add_argument(
        "--quick", action="store_true", help="at most 8 instances and 1280 env steps of training"
    )
    return parser


def run(options: argparse.Namespace) -> list[Row]:
    """Return one row a GAN, continuing what `results.jsonl` holds already.

    Raises:
        ValueError: if a name is unknown.
    """
    env_id = check_id(options.env)
    for name in options.baselines:
        lookup(BASELINES, name, "baseline")
    for name in options.agents:
        if name not in ALGOS:
            find_agent(name)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    done = {(row["agent"], row["training_seed"]) for row in rows}
    for name in [*options.agents, *options.baselines]:
        trained = name in ALGOS
        for seed in range(options.seed_offset, options.seed_offset + (options.seeds if trained else 1)):
            if (name, seed) in done:
                continue
            agent: Agent | str = name
            if trained:
                agent = train(name, env_id, options.total_timesteps, n_envs=32, seed=seed, progress=True)
            episodes = evaluate(
                agent,
                env_id,
                n_episodes=options.episodes,
                seed=options.seed_offset,
                env_kwargs={"instances": options.instances},
                name=name,
                progress=True,
            )
            new = [{**episode.as_dict(), "env": options.env, "training_seed": seed} for episode in episodes]
            with file.open("a") as stream:
                stream.writelines(json.dumps(row) + "\n" for row in new)
            rows += new
    return rows


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `{agent: {metric: {"iqm": [v, low, high], "mean": [...], "failed": share, "paired": {...}}}}`.

    `failed` is the share of runs that diverged, collapsed, or ended with less than half of the best agent's
    median number of modes (of its quality where modes cannot be counted). `paired` holds the mean difference
    to every other agent on the same instances.
    """
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    of = {agent: [row for row in rows if row["agent"] == agent] for agent in agents}
    yardstick = "modes" if all(row["modes"] >= 0 for row in rows) else "final_quality"
    half = max(float(np.median([row[yardstick] for row in of[agent]])) for agent in agents) / 2
    summary: dict[str, dict[str, dict[str, Any]]] = {}
    for agent in agents:
        failed = np.mean([row["end"] != "budget" or row[yardstick] < half for row in of[agent]])
        seeds = sorted({row["training_seed"] for row in of[agent]})
        summary[agent] = {}
        for metric in METRICS:
            strata = [
                np.array([row[metric] for row in of[agent] if row["training_seed"] == s], float)
                for s in seeds
            ]
            summary[agent][metric] = {
                "iqm": interval(strata, iqm),
                "mean": interval(strata, mean),
                "failed": float(failed),
                "paired": {
                    other: interval([_differences(of[agent], of[other], metric)], mean)
                    for other in agents
                    if other != agent
                },
            }
    return summary


def _differences(
    rows: Sequence[Row], others: Sequence[Row], metric: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return this agent's mean over its trainings minus the other's, instance by instance."""

    def by_seed(chosen: Sequence[Row]) -> dict[int, float]:
        return {
            s: float(np.mean([r[metric] for r in chosen if r["seed"] == s]))
            for s in {r["seed"] for r in chosen}
        }

    first, second = by_seed(rows), by_seed(others)
    return np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def to_table(summary: dict[str, dict[str, dict[str, Any]]], env: str) -> str:
    """Return the summary as Markdown, best mean quality first."""
    lines = [
        f"| {env} | quality, IQM | quality, mean | modes, mean | modes ≥ 20, mean | %HQ, mean | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for agent in sorted(summary, key=lambda name: -summary[name]["final_quality"]["mean"][0]):
        row = summary[agent]
        cells = [_cell(row["final_quality"]["iqm"]), _cell(row["final_quality"]["mean"])]
        cells += [_cell(row[metric]["mean"]) for metric in ("modes", "modes20", "hq")]
        lines.append(f"| {agent} | {' | '.join(cells)} | {row['final_quality']['failed']:.2f} |")
    return "\n".join(lines) + "\n"


def _cell(triple: Sequence[float]) -> str:
    value, low, high = triple
    digits = 3 if abs(high) < 2 else 1
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def plot(rows: Sequence[Row], summary: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Draw every run's final quality and the means with their intervals."""
    agents = sorted(summary, key=lambda name: summary[name]["final_quality"]["mean"][0])
    figure = Figure(figsize=(7, 0.5 * len(agents) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for height, agent in enumerate(agents):
        values = [row["final_quality"] for row in rows if row["agent"] == agent]
        axes.plot(values, height + rng.uniform(-0.2, 0.2, len(values)), ".", color="0.7", markersize=4)
        value, low, high = summary[agent]["final_quality"]["mean"]
        axes.plot([low, high], [height, height], color="C0", linewidth=3)
        axes.plot(value, height, "o", color="C0")
    axes.set_yticks(range(len(agents)), agents)
    axes.set_xlabel("final quality: every run (grey), mean with 95 % interval (blue)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
