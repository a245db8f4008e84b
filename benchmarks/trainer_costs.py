"""The inner step of `GANTrainer` beside a plain loop, and beside the least its arithmetic takes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.costs import FAMILIES, Costs
from benchmarks.plain_loop import PlainLoop
from benchmarks.timing import side_by_side
from gan_gym.gan import GANTrainer, Source, build_networks

FORMS: dict[str, dict[str, dict[str, bool]]] = {
    "mlp": {"": {}, "_ema": {"averaged": True}},
    "conv": {"": {}, "_ema": {"averaged": True}, "_channels_last": {"channels_last": True}},
}
"""Forms of the plain loop by family and ending of the ratio's name."""
BLOCKS, ROWS, WIDTH = 32, 128, 64
"""The matrix product that stands for the machine: a hidden layer of 32 MLP GANs on real and fake batches."""
N_PRODUCTS = 50
"""Products in a timed run."""


def trainers(costs: Costs) -> None:
    """Compare `GANTrainer` with plain loops on the networks and data of two environments."""
    for family, forms in FORMS.items():
        env = costs.env(FAMILIES[family])
        source, batch_size = env.problem.source, env.config.batch_size
        n_steps = costs.scale.inner_steps[family]
        for ending, form in forms.items():
            trainer = costs.trainer(env.networks, source, batch_size)
            plain = _plain(costs.device, env.networks, source, batch_size, **form)
            runs = (partial(trainer.train, n_steps), partial(plain.train, n_steps))
            ours, theirs = side_by_side(runs, costs.scale.trainer_repeats)
            name = f"trainer_over_plain_{family}{ending}"
            costs.ratio(name, ours / theirs)
            costs.time(f"{name}: trainer, inner step", ours / n_steps)
            costs.time(f"{name}: plain loop, inner step", theirs / n_steps)


def _plain(
    device: torch.device,
    networks: str,
    source: Source,
    batch_size: int,
    *,
    averaged: bool = False,
    channels_last: bool = False,
) -> PlainLoop:
    pair = [network.to(device) for network in build_networks(networks, source.shape, seed=0)]
    if channels_last:
        pair = [network.to(memory_format=torch.channels_last) for network in pair]
    return PlainLoop(pair[0], pair[1], source, batch_size, averaged=averaged)


def floors(costs: Costs) -> None:
    """Compare inner steps with the time of their matrix products alone, at the rate of one such product."""
    a = torch.ones(BLOCKS, ROWS, WIDTH, device=costs.device)
    b = torch.ones(BLOCKS, WIDTH, WIDTH, device=costs.device)
    flops_per_run = 2 * BLOCKS * ROWS * WIDTH * WIDTH * N_PRODUCTS
    for family, env_id in FAMILIES.items():
        env = costs.env(env_id)
        n_steps = costs.scale.inner_steps[family]
        trainer = costs.trainer(env.networks, env.problem.source, env.config.batch_size)
        flops = step_flops(trainer)
        runs = (partial(trainer.train, n_steps), partial(_products, a, b))
        steps, products = side_by_side(runs, costs.scale.repeats)
        step, rate = steps / n_steps, flops_per_run / products
        costs.ratio(f"inner_step_over_arithmetic_{family}", step * rate / flops)
        costs.time(f"inner step, {family}", step)
        costs.time(f"inner step, {family}, arithmetic alone", flops / rate)
        costs.notes.append(
            f"floor, {family}: an inner step holds {flops / 1e6:.1f} MFLOP of matrix products, which run at "
            f"{np.median(rate) / 1e9:.0f} GFLOP/s as {BLOCKS} x ({ROWS} x {WIDTH} @ {WIDTH} x {WIDTH}): "
            f"{1000 * np.median(flops / rate):.3f} ms; measured: {1000 * np.median(step):.3f} ms"
        )


def _products(a: torch.Tensor, b: torch.Tensor) -> None:
    for _ in range(N_PRODUCTS):
        torch.bmm(a, b)


def step_flops(trainer: GANTrainer) -> int:
    """Do an inner step; return the floating-point operations in its matrix products and convolutions."""
    counter: Any = FlopCounterMode(display=False)
    with counter:
        trainer.train(1)
    return int(counter.get_total_flops())
