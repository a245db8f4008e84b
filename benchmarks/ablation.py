"""What each knob, observation, size of move and number of decisions adds to a controller.

    python -m benchmarks.ablation --out DIR

Trains PPO, by the recipe of `agents.train`, once for each variant and seed, in GridGAN-v0, and lets all of
them control the same unseen GANs in GridGAN-v0 and RingGAN-v0. The instances are those of validation: what is
chosen here is tested elsewhere. Writes `results.jsonl` (one row a GAN), `summary.json`, `table.md`,
`plot.png`, and the controllers in `controllers/`; what an interrupted call has finished is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from agents.baselines import BASELINES
from benchmarks.ablation_cells import PLAYED_IN, Cell, Recipe, play_cells
from benchmarks.ablation_plot import plot
from benchmarks.ablation_summary import summarise, to_table
from benchmarks.ablation_variants import QUESTIONS, VARIANTS, Variant, chosen
from benchmarks.comparison_rows import append_rows, read_rows
from benchmarks.playing import Row, fitting_processes
from benchmarks.provenance import command, commit
from gan_gym.names import lookup

QUICK = {"seeds": 1, "episodes": 4, "total_timesteps": 320, "n_envs": 8}
"""Upper limits of options under `--quick`."""
QUICK_VARIANTS = ("rates_only", "no_gradients", "schedule", "factor_4", "decisions_10")
"""Variants under `--quick` where none are named."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ablation and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
        options.variants = options.variants or QUICK_VARIANTS
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    try:
        rows = ablate(options, command("benchmarks.ablation", None if argv is None else list(argv)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    out, summary = Path(options.out), summarise(rows)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    table = to_table(summary, rows)
    (out / "table.md").write_text(table)
    plot(summary, out / "plot.png")
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", required=True, help="folder of the results")
    names = f"{[*VARIANTS]}, or all of a question: {[*QUESTIONS]}"
    add("--variants", nargs="+", default=[], metavar="VARIANT", help=f"all unless given, of {names}")
    add("--total_timesteps", type=int, default=65_000, help="env steps of each training")
    add("--seeds", type=int, default=3, help="seeds each variant is trained with")
    add("--episodes", type=int, default=64, help="instances of each environment")
    add("--imitated", help="baseline that every variant begins as; at random unless given")
    add("--n_envs", type=int, default=32, help="environments each learns in side by side")
    add("--processes", type=int, default=fitting_processes(), help="trainings under way at a time")
    quick = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"at most: {quick}; variants {[*QUICK_VARIANTS]}")
    return parser


def ablate(options: argparse.Namespace, command_line: str) -> list[Row]:
    """Return one row a GAN, continuing what `results.jsonl` holds already.

    Raises:
        ValueError: if a name is unknown, a number too small, or the folder holds the results of another
            ablation.
    """
    for name in ("total_timesteps", "seeds", "episodes", "n_envs", "processes"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}; give a whole number >= 1")
    if options.imitated is not None:
        lookup(BASELINES, options.imitated, "baseline")
    variants = chosen(options.variants, options.imitated)
    out = Path(options.out)
    file = out / "results.jsonl"
    rows = read_rows(file)
    cells = _cells(variants, options, rows)
    _check_continues(rows, cells, file)
    missing = [cell for cell in cells if any(cell.missing.values())]
    out.mkdir(parents=True, exist_ok=True)
    provenance = {"commit": commit(), "command": command_line}
    with tqdm(total=len(cells), initial=len(cells) - len(missing), unit="controller") as bar:
        for played in play_cells(missing, options.processes):
            new = [{**row, **provenance} for row in played]
            append_rows(file, new)
            rows += new
            bar.update()
            bar.set_postfix_str(f"{new[-1]['agent']}, seed {new[-1]['training_seed']}")
    return rows


def _cells(variants: Mapping[str, Variant], options: argparse.Namespace, rows: Sequence[Row]) -> list[Cell]:
    recipe = Recipe(options.total_timesteps, options.n_envs, options.imitated)
    done = {(row["agent"], row["training_seed"], row["env"], row["seed"]) for row in rows}
    return [
        Cell(
            name=name,
            variant=variant,
            seed=seed,
            recipe=recipe,
            folder=str(Path(options.out) / "controllers" / name / f"seed_{seed}"),
            missing={
                env: [i for i in range(options.episodes) if (name, seed, env, i) not in done]
                for env in PLAYED_IN
            },
        )
        for seed in range(options.seeds)
        for name, variant in variants.items()
    ]


def _check_continues(rows: Sequence[Row], cells: Sequence[Cell], file: Path) -> None:
    """Check that no row was made otherwise than the others are to be."""
    wanted = {cell.name: cell.conditions for cell in cells}
    recipe = vars(cells[0].recipe)
    for row in rows:
        found = row.get("training") or {}
        expected = wanted.get(row["agent"], {**found, **recipe})
        if found != expected:
            raise ValueError(
                f"'{file}' holds runs of '{row['agent']}' that were made otherwise ({found}); "
                "give another --out"
            )


if __name__ == "__main__":
    sys.exit(main())
