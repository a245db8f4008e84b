"""Search the best fixed settings and the best schedule: the baselines `tuned_constant` and `tuned_schedule`.

    python -m benchmarks.tune --env GridGAN-v0 --budget 4000 --out agents/pretrained/tuned.json

All knobs that make sense are searched (`benchmarks/search_space.py`), by successive halving and then by
evolution (`benchmarks/search.py`), on training instances whose starting values the candidate overrides. The
score is the mean final quality, 0 for a diverged run. Whatever is best after each stage is tried on 32
validation instances, and the best of these is kept. GANs on points and on images have settings of their own:
of several `--env`, those of one family are searched together, each counted once. Give the search the budget
that a controller's training had: its env steps over the decisions of a run (`total_timesteps / 40`).
`DIR/tuned.jsonl`, beside the result, holds every candidate; a search that was stopped continues from it, and
`benchmarks.payoff` draws it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from tqdm import tqdm

from agents.environments import make_one
from agents.evaluation import n_envs_for
from agents.mixtures import Share, shares_of
from benchmarks.playing import Play, fitting_processes, players
from benchmarks.provenance import command, commit
from benchmarks.search import ETA, N_RUNGS, VALIDATED, Arena, Search, read_log
from benchmarks.search_space import SPACE
from gan_gym.gan import family

NAMES = ("tuned_constant", "tuned_schedule")
FEWEST = N_RUNGS * ETA ** (N_RUNGS - 1)
"""GANs that leave one candidate in the last rung, for each environment."""


def main(argv: Sequence[str] | None = None) -> int:
    """Search both baselines for every family, and return the exit code."""
    options = _options().parse_args(argv)
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    try:
        with players(options.processes) as play:
            found = tune(options, play, command("benchmarks.tune", None if argv is None else list(argv)))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    json.dump(found, sys.stdout, indent=1)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--env", nargs="+", default=["GridGAN-v0"], help="ids, or the name of a mixture")
    add("--budget", type=int, default=400, help="GANs trained for each of the two baselines of each family")
    add("--baselines", nargs="+", choices=NAMES, default=list(NAMES), help="which to search; the other stays")
    add("--seed", type=int, default=0, help="seed of candidates and instances")
    add("--reward_weight", action="store_true", help="search it too; it slows images down")
    add("--processes", type=int, default=fitting_processes(), help="processes that train GANs")
    add("--out", type=Path, required=True, help="JSON file to write")
    return parser


def tune(options: argparse.Namespace, play: Play, command_line: str) -> dict[str, Any]:
    """Search both baselines for every family among the environments, and write each that is found.

    Raises:
        ValueError: if an environment is unknown, or the budget too small.
    """
    shares: dict[str, list[Share]] = defaultdict(list)
    for name in options.env:
        for share in shares_of(name, None, {}):
            shares[family(make_one(share.id, **share.kwargs).networks)].append(share)
    for of, own in shares.items():
        if options.budget < FEWEST * len(own):
            raise ValueError(
                f"--budget is {options.budget}; give at least {FEWEST * len(own)}, for {len(own)} of {of}"
            )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    log = options.out.with_suffix(".jsonl")
    done = read_log(log)
    content = json.loads(options.out.read_text()) if options.out.is_file() else {}
    for of, own in shares.items():
        envs = [make_one(share.id, **share.kwargs) for share in own]
        arena = Arena(
            own,
            [n_envs_for(env) for env in envs],
            [env.inner_steps * env.episode_steps for env in envs],
            play,
        )
        scale = envs[0].knob_scale
        space = {
            name: dimension.scaled(scale.get(name, 1.0))
            for name, dimension in SPACE.items()
            if name != "reward_weight" or options.reward_weight
        }
        for name in options.baselines:
            with tqdm(total=options.budget, unit="GAN", desc=f"{name}, {of}") as bar:
                search = Search(name, arena, space, options.seed, log, done, bar)
                best, quality = search.run(options.budget)
            content.setdefault(of, {})[name] = {
                **best.as_dict(scheduled=search.scheduled),
                "quality": round(quality, 4),
                "n_instances": len(VALIDATED) * len(own),
                "n_gans": search.n_gans,
                "inner_steps": search.spent,
                "origin": _origin(own, options, command_line),
            }
        options.out.write_text(json.dumps(content, indent=1) + "\n")
    return content


def _origin(shares: Sequence[Share], options: argparse.Namespace, command_line: str) -> dict[str, Any]:
    return {
        "command": command_line,
        "commit": commit(),
        "environments": [[share.id, dict(share.kwargs)] for share in shares],
        "instances": "train; the best of each stage chosen by validation instances, not counted in n_gans",
        "seed": options.seed,
        "versions": {"torch": torch.__version__, "gymnasium": gym.__version__},
    }


if __name__ == "__main__":
    sys.exit(main())
