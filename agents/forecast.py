"""How long a run will take, by a few of its updates done now."""

from __future__ import annotations

import time

import torch

from agents.planning import Plan
from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import GANTrainer, TrainerConfig, build_networks

N_TIMED = 8
"""Updates that are timed, after as many that warm up."""


def seconds_per_update(plan: Plan) -> float:
    """Return how long one update of a plan's networks takes on its device, on networks made for it alone.

    A penalty or augmentation that a controller may turn on comes on top.
    """
    config, source = plan.config, PatchSampler(plan.train.images.to(plan.device))
    trainer = GANTrainer(
        *build_networks(config.networks, source.shape, seed=config.seed),
        source,
        TrainerConfig(loss=config.loss, batch_size=config.batch_size, precision=config.precision),
        device=plan.device,
    )
    trainer.train(N_TIMED)
    started = time.perf_counter()
    trainer.train(N_TIMED)
    if plan.device.type == "cuda":
        torch.cuda.synchronize(plan.device)
    return (time.perf_counter() - started) / N_TIMED


def describe(plan: Plan) -> str:
    """Say in a line how long a plan's updates will take."""
    assert plan.config.inner_steps is not None
    seconds, n_updates = seconds_per_update(plan), plan.episode_steps * plan.config.inner_steps
    return (
        f"time: about {_duration(seconds * n_updates)} for {n_updates:,} updates, at {seconds:.2g} s each "
        "now; reward model, scores and evaluation come on top"
    )


def _duration(seconds: float) -> str:
    """Return a time in the unit one would say it in."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
