"""Fit controllers (`gan-gym fit-controller`): imitate a rule, learn on, keep the best of the validated."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import torch

from agents.config import FitControllerConfig
from agents.run_folder import check_new, new_folder
from agents.training import train


def run_fit_controller(config: FitControllerConfig) -> int:
    """Train controllers and keep the best on validation instances (`gan-gym fit-controller`)."""
    assert config.out is not None
    out = check_new(config.out, "controller")
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    env_kwargs: dict[str, Any] = {} if config.knobs is None else {"knobs": tuple(config.knobs)}
    controllers = []
    for seed in range(config.seed, config.seed + config.seeds):
        controller = train(
            config.algo,
            config.env,
            config.total_timesteps,
            n_envs=config.n_envs,
            seed=seed,
            log_dir=out.with_name(f"{out.name}.tensorboard") / f"seed_{seed}",
            progress=True,
            env_kwargs=env_kwargs,
            imitated=config.imitate,
            validated=True,
        )
        controller.card["command"] = shlex.join(["gan-gym", *sys.argv[1:]])
        controllers.append(controller)
    best = max(controllers, key=lambda controller: controller.card["validation"]["quality"])
    with new_folder(out) as part:
        best.save(part)
        if config.seeds > 1:
            for controller in controllers:
                controller.save(part / f"seed_{controller.card['seed']}")
    print(f"controller in {config.out}; use it with gan-gym train --controller {shlex.quote(config.out)}")
    return 0
