"""Agents against baselines on the same unseen instances.

    python -m benchmarks.compare --agents pretrained --baselines cosine tuned_schedule --out DIR

Writes `results.jsonl` (one row a GAN), `summary.json`, `table.md` and `plot.png`; what an interrupted call
has finished is not repeated. `--agents` takes shipped names, folders of controllers (one that holds `seed_0`,
`seed_1`, ... is one agent trained with several seeds), `NAME=FOLDER,FOLDER` for the same with folders
elsewhere, and names of `ALGOS`, which are trained on the spot, once for each of `--seeds`, and kept in
`DIR/controllers`. All meet the same instances. `--setting` takes any of `benchmarks/settings.py`, each a
section of the table. `--ray` trains the GANs on a cluster instead of on this machine's cores.

Exit codes: 0 done; 2 the input is wrong; 85 the cluster was lost: the same call goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from agents.algorithms import ALGOS
from agents.cluster import HeadLost, end_without_ray
from agents.environments import check_id
from agents.processes import WorkerDied
from agents.stopping import EXIT_RESUMABLE
from benchmarks import contestants
from benchmarks.comparison_plot import plot
from benchmarks.comparison_rows import Comparison, run
from benchmarks.comparison_summary import summarise
from benchmarks.comparison_table import to_table
from benchmarks.contestants import Training
from benchmarks.playing import Play, Row, fitting_processes, players
from benchmarks.provenance import command, commit
from benchmarks.settings import SETTINGS, arguments
from benchmarks.sweeping import cluster_players, train_on_cluster
from gan_gym.instances import INSTANCES

QUICK = {"seeds": 1, "episodes": 8, "total_timesteps": 640, "fraction": 0.0005}
"""Upper limits of options under `--quick`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    try:
        rows = compare(options, command("benchmarks.compare", None if argv is None else list(argv)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except WorkerDied as error:
        print(f"error: {error}; {options.out} holds what is done", file=sys.stderr)
        if isinstance(error, HeadLost):
            end_without_ray(EXIT_RESUMABLE)
        return EXIT_RESUMABLE
    out, summary = Path(options.out), summarise(rows)
    focus = list(dict.fromkeys(row["agent"] for row in rows if row["agent"] not in options.baselines))
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    table = to_table(rows, summary, focus)
    (out / "table.md").write_text(table)
    plot(rows, summary, focus, out / "plot.png")
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", required=True, help="folder of the results")
    add("--env", default="GridGAN-v0")
    add("--agents", nargs="*", default=["pretrained"], help="names, folders or NAME=FOLDER,FOLDER")
    add("--baselines", nargs="*", default=["constant", "tuned_schedule"])
    add("--setting", nargs="+", default=["default"], metavar="SETTING", help=f"{[*SETTINGS]}")
    add("--seeds", type=int, default=1, help="seeds an ALGOS name is trained with")
    add("--seed_offset", type=int, default=0, help="first seed, of training and of instances")
    add("--episodes", type=int, default=64, help="instances")
    add("--instances", default="test", choices=INSTANCES, help="where the setting does not say")
    add("--total_timesteps", type=int, default=130_000, help="env steps of each training on the spot")
    add("--train_env", help="where algorithms are trained on the spot; --env unless given")
    add("--n_envs", type=int, help="environments they are trained in; as agents.train unless given")
    add("--env_kwargs", type=json.loads, default={}, help="further arguments of the environment, as JSON")
    add("--fraction", type=float, default=1.0, help="share of a published run, in settings that follow one")
    add("--processes", type=int, default=fitting_processes(), help="processes that train GANs")
    add("--ray", metavar="ADDRESS", help="train them on a Ray cluster: local, auto or HOST:PORT")
    add("--gpus", type=float, default=0.0, help="share of a GPU that each task of the cluster holds")
    quick = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"at most: {quick}")
    return parser


def compare(options: argparse.Namespace, command_line: str) -> list[Row]:
    """Return one row a GAN, continuing what `results.jsonl` holds already.

    Raises:
        ValueError: if a name is unknown, or the folder holds the results of another comparison.
    """
    check_id(options.env)
    out = Path(options.out)
    seeds = range(options.seed_offset, options.seed_offset + options.seeds)
    training = Training(
        env=options.train_env or options.env,
        total_timesteps=options.total_timesteps,
        env_kwargs=options.env_kwargs,
        seeds=seeds,
        n_envs=options.n_envs,
        folder=out / "controllers",
    )
    contestants.check(options.agents, options.baselines, training)
    own = {"instances": options.instances, **options.env_kwargs}
    settings = {name: arguments(name, options.env, own, options.fraction) for name in options.setting}

    def play_with(n_batches: int) -> AbstractContextManager[Play]:
        if options.ray and n_batches:
            return cluster_players(options.ray, options.gpus)
        return players(min(options.processes, n_batches))

    out.mkdir(parents=True, exist_ok=True)
    if options.ray:
        train_on_cluster(options.ray, training, [name for name in options.agents if name in ALGOS])
    comparison = Comparison(
        env=options.env,
        settings=settings,
        contestants=contestants.find(options.agents, options.baselines, training),
        seeds=range(options.seed_offset, options.seed_offset + options.episodes),
        judged=options.env.removeprefix("gan_gym:") == "HistoGAN-v0",
        players=play_with,
        provenance={"commit": commit(), "command": command_line},
    )
    return run(comparison, out / "results.jsonl")


if __name__ == "__main__":
    sys.exit(main())
