"""Search the best fixed settings and the best schedule: the baselines `tuned_constant` and `tuned_schedule`.

    python -m benchmarks.tune --env GridGAN-v0 --budget 400 --out agents/pretrained/tuned.json

Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943) over random settings: every rung trains as
many GANs as the one before, a third of the candidates on three times as many instances. Instances are
training ones whose starting values the candidate overrides. The score is the mean final quality, 0 for a
diverged run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from tqdm import tqdm

from agents.acting import Agent
from agents.baselines import TunedConstant, TunedSchedule
from agents.evaluation import make_vector, play
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.gan import family

N_RUNGS = 4
ETA = 3
SMALLEST_BUDGET = N_RUNGS * ETA ** (N_RUNGS - 1)
"""Leaves one candidate in the last rung."""
FORMS: dict[str, Callable[[Mapping[str, float]], Agent]] = {
    "tuned_constant": TunedConstant,
    "tuned_schedule": TunedSchedule,
}


def draw(rng: np.random.Generator) -> dict[str, float]:
    """Draw settings: learning rates and noise log-uniformly, the noise off in one of five, beta1 of three."""
    g_lr, d_lr = 10 ** rng.uniform(-4, np.log10(2e-2), 2)
    noise = 0.0 if rng.uniform() < 0.2 else 10 ** rng.uniform(-1.5, 0)
    return {
        "g_lr": float(f"{g_lr:.3g}"),
        "d_lr": float(f"{d_lr:.3g}"),
        "instance_noise": float(f"{noise:.3g}"),
        "beta1": float(rng.choice([0.0, 0.5, 0.9])),
    }


def search(form: str, vector: GANVectorEnv, env: str, budget: int, seed: int) -> dict[str, Any]:
    """Train about `budget` GANs and return the best settings with what they scored."""
    rng = np.random.default_rng(seed)
    candidates = [draw(rng) for _ in range(budget // N_RUNGS)]
    agents = [FORMS[form](values) for values in candidates]
    scores: dict[int, list[float]] = defaultdict(list)
    alive, first_seed = list(range(len(candidates))), seed
    bar = tqdm(desc=form, total=budget, unit="GAN")
    for rung in range(N_RUNGS):
        seeds = range(first_seed, first_seed + ETA**rung)
        first_seed += len(seeds)
        for row in play(vector, env, [(str(i), agents[i], s) for s in seeds for i in alive]):
            scores[int(row.agent)].append(row.final_quality)
            bar.update()
        alive.sort(key=lambda i: -np.mean(scores[i]))
        bar.set_postfix(quality=f"{np.mean(scores[alive[0]]):.3f}")
        if rung < N_RUNGS - 1:
            alive = alive[: len(alive) // ETA]
    bar.close()
    best = alive[0]
    return {
        "values": candidates[best],
        "quality": round(float(np.mean(scores[best])), 4),
        "n_instances": len(scores[best]),
        "n_gans": sum(map(len, scores.values())),
    }


def main(arguments: list[str] | None = None) -> None:
    """Search both forms and write them into the file, beside what it holds of other networks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tune", description=__doc__)
    parser.add_argument("--env", default="GridGAN-v0", help="id of the environment")
    parser.add_argument("--budget", type=int, default=400, help="GANs trained for each of the two forms")
    parser.add_argument("--seed", type=int, default=0, help="seed of candidates and instances")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(arguments)
    if options.budget < SMALLEST_BUDGET:
        parser.error(f"--budget is {options.budget}; give at least {SMALLEST_BUDGET}")
    torch.set_num_threads(1)
    vector = make_vector(options.env, None, options.budget, {"instances": "train"})
    networks, env = vector.envs[0].networks, vector.envs[0]
    found = {form: search(form, vector, options.env, options.budget, options.seed) for form in FORMS}
    content = json.loads(options.out.read_text()) if options.out.is_file() else {}
    content[family(networks)] = {
        **found,
        "origin": {
            "command": f"python -m benchmarks.tune --env {options.env} --budget {options.budget} "
            f"--seed {options.seed} --out {options.out}",
            "instances": "train",
            "networks": networks,
            "inner_steps_per_gan": env.inner_steps * env.episode_steps,
            "versions": {"torch": torch.__version__, "gymnasium": gym.__version__},
        },
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
