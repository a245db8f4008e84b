"""Fit controllers (`gan-gym fit-controller`): imitate a rule, learn on, keep the best of the validated."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from agents.cluster import Cluster, HeadLost, end_without_ray
from agents.conditions import check_conditions
from agents.config import FitControllerConfig
from agents.controller import Controller
from agents.fit_checkpoints import check_stopped, fit_folder, under_way
from agents.run_folder import check_new, new_folder
from agents.stopping import EXIT_RESUMABLE
from agents.training import train
from gan_gym.checkpoint import replace_file

logger = logging.getLogger(__name__)

_CONDITIONS = ("env", "algo", "total_timesteps", "imitate", "n_envs", "knobs")
"""Options that every seed's training depends on."""


def run_fit_controller(config: FitControllerConfig) -> int:
    """Train controllers and keep the best on validation instances (`gan-gym fit-controller`).

    One that was stopped goes on with the seed it stood at, from where that was validated last.
    """
    assert config.out is not None
    out = check_new(config.out, "controller")
    check_stopped(out, resume=config.resume)
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    with under_way(out):
        _check_conditions(config, fit_folder(out))
        try:
            seeds = range(config.seed, config.seed + config.seeds)
            with nullcontext() if config.ray is None else Cluster.connect(config.ray).watched():
                controllers = [_fitted(config, out, seed) for seed in seeds]
        except HeadLost as error:  # nothing is wrong here: it goes on where there is a cluster again
            logger.warning("%s", error)
            end_without_ray(EXIT_RESUMABLE)
            raise KeyboardInterrupt from error
        best = max(controllers, key=lambda controller: controller.card["validation"]["quality"])
        with new_folder(out) as part:
            best.save(part)
            if config.seeds > 1:
                for controller in controllers:
                    controller.save(part / f"seed_{controller.card['seed']}")
    print(f"controller in {config.out}; use it with gan-gym train --controller {shlex.quote(config.out)}")
    return 0


def _check_conditions(config: FitControllerConfig, folder: Path) -> None:
    """Write down what all seeds are trained with; refuse to go on with seeds trained otherwise."""
    file, asked = folder / ".options.json", {name: getattr(config, name) for name in _CONDITIONS}
    if not config.resume:
        replace_file(file, json.dumps(asked).encode())
        return
    try:
        kept = json.loads(file.read_bytes())
        before = {name: kept[name] for name in asked}
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        raise ValueError(
            f"'{file}' cannot be read ({reason}); restore it, or remove '{folder}' to begin anew"
        ) from None
    check_conditions("training", before, asked, folder)


def _fitted(config: FitControllerConfig, out: Path, seed: int) -> Controller:
    """Train the controller of one seed, or load it where that was done before a stop."""
    finished = fit_folder(out) / f"seed_{seed}"
    if finished.is_dir():
        return Controller.load(finished)
    env_kwargs: dict[str, Any] = {} if config.knobs is None else {"knobs": tuple(config.knobs)}
    controller = train(
        config.algo,
        config.env,
        config.total_timesteps,
        n_envs=config.n_envs,
        n_processes=config.workers,
        remote=config.ray,
        seed=seed,
        log_dir=out.with_name(f"{out.name}.tensorboard") / f"seed_{seed}",
        progress=True,
        env_kwargs=env_kwargs,
        imitated=config.imitate,
        validated=True,
        checkpoints=fit_folder(out) / f"seed_{seed}.learning",
    )
    command = [argument for argument in sys.argv[1:] if argument != "--resume"]
    controller.card["command"] = shlex.join(["gan-gym", *command])
    with new_folder(finished) as part:
        controller.save(part)
    return controller
