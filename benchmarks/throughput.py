"""What this package costs: its GAN step beside a plain loop, its environments' overhead, its populations.

    python -m benchmarks.throughput --out DIR [--quick] [--device cpu|cuda|auto]

Writes `throughput.json` (ratios alone), `seconds.json` (times, rates, curves, notes, device, threads,
versions) and `throughput.png`. What is compared is timed in turn, so that what else runs on the machine slows
all sides. One thread is used where nothing else is said.

Seconds of an inner step of `GANTrainer` over those of `PlainLoop`, on the networks, data and batch size of
`GridGAN-v0` (`mlp`) and `HistoGAN-v0` (`conv`):

- `trainer_over_plain_mlp`, `trainer_over_plain_conv`: the plain loop keeps no averaged generator;
- `trainer_over_plain_mlp_ema`, `trainer_over_plain_conv_ema`: it keeps one, as the trainer does;
- `trainer_over_plain_conv_channels_last`: its networks lie channels last, as the trainer's do.

The same inner step over the time that its matrix products and convolutions alone would take at the rate of
one batched product of an MLP GAN's size (the floor; the count and the rate are printed):

- `inner_step_over_arithmetic_mlp`: far above 1, as calling some hundred small operations limits the step of
  one MLP GAN; a population calls them once for all;
- `inner_step_over_arithmetic_conv`: on a CPU near 2, as arithmetic limits it: three quarters of the time go
  into convolutions, the rest into batch normalisation, activations and Adam, which move bytes.

Share of an env step that is not the GAN's own updates, at the contract's defaults:

- `env_overhead_grid`, `env_overhead_histo`, and with two threads `env_overhead_grid_2_threads`,
  `env_overhead_histo_2_threads` (not with `--quick`). Scoring limits it: for images the reward model's
  arithmetic on 128 fakes.

GAN steps a second of a population (by `gym.make_vec`) of n GANs over those of other forms, scoring included;
`GridGAN-v0` at its defaults, `HistoGAN-v0` on CPUs with 5 inner steps an env step instead of 50:

- `population{n}_over_single_{mlp,conv}`: n single environments in one process, one thread each side;
- `population{n}_over_subproc_{mlp,conv}`: `SubprocVecEnv` with two workers of one thread, each of which
  steps half of the environments in turn; the population is laid out as `agents.make_env` does by itself, on
  CPUs a worker of one thread with a share of the population for each core;
- `population{n}_over_async_{mlp,conv}`: Gymnasium's `AsyncVectorEnv`, a process of one thread for each
  environment; the population as beside `SubprocVecEnv`;
- `population32_over_single`, `population32_over_subproc`: the contract's names of those of MLP GANs;
- `memory_per_gan_over_kept_mlp`, `memory_per_gan_over_kept_conv` (the latter not with `--quick`): what n more
  GANs add to the peak memory of a fresh process that trains n, for each of them, over the bytes of its
  parameters, gradients, Adam moments and average. What is above 1 are activations, working copies and Python
  objects; a copy of the data or the reward model would be far above.

PPO learning on `GridGAN-v0` through `agents.make_env` and `agents.train`, in rollouts of one episode (a part
of one with `--quick`); which form `make_env` chose is printed:

- `ppo_32_envs_over_1_env`: env steps a second with 32 environments over those with one;
- `ppo_32_envs_compiled_over_32_envs`: the same with compiled updates (`compile=True`) over those without (not
  with `--quick`);
- `ppo_{32_envs,1_env}_env_share`, `ppo_{32_envs,1_env}_update_share`: shares of env steps and of PPO's update
  in the time of a rollout and its update; the rest is choosing actions. The envs limit it.

Seconds of an inner step over those at the first point of a curve, whose points are timed in turn:

- `growth_image_size_conv_{64,128,256}` over 32 pixels, batch 8: arithmetic, which grows with the pixels;
- `growth_batch_size_{mlp,conv}_{n}` over the smallest batch: launching kernels first, then arithmetic;
- `growth_data_set_conv_{n}` over 1,000 memory-mapped patches: page faults, next to nothing.

With CUDA also:

- `cuda_population32_over_single_conv`: another name of `population32_over_single_conv`;
- `cuda_graph_over_eager_conv`: how many times faster an inner step replayed as CUDA graphs is.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.costs import Costs, Scale, threads
from benchmarks.cuda_costs import cuda_graphs
from benchmarks.env_costs import imports, overheads
from benchmarks.growth import growth
from benchmarks.memory_costs import memory
from benchmarks.population_costs import populations
from benchmarks.ppo_costs import controllers
from benchmarks.throughput_files import to_table, write
from benchmarks.trainer_costs import floors, trainers
from gan_gym.devices import resolve_device

GROUPS: tuple[Callable[[Costs], None], ...] = (
    imports,
    trainers,
    floors,
    overheads,
    populations,
    memory,
    controllers,
    growth,
)
"""What is measured, in this order."""
GROUPS_ON_CUDA = (*GROUPS, cuda_graphs)
PRELOADED = sorted({function.__module__ for function in (*GROUPS_ON_CUDA, write)})
"""Imported once, by the process that workers are forked from: all that they import again with this module."""
QUICK = Scale(
    repeats=5,
    trainer_repeats=15,
    threads=(1,),
    populations={"mlp": (4, 32), "conv": (2,)},
    population_repeats={"mlp": 5, "conv": 5},
    memory={"mlp": 32},
    rollouts={32: 5, 1: 20},
    compiled=False,
    image_sizes=(32, 64, 128),
    batch_sizes={"mlp": (16, 64, 256), "conv": (8, 32)},
)
SAME = {
    "population32_over_single": "population32_over_single_mlp",
    "population32_over_subproc": "population32_over_subproc_mlp",
}
"""Ratios that the contract knows by another name."""
SAME_ON_CUDA = {"cuda_population32_over_single_conv": "population32_over_single_conv"}


def measure(scale: Scale, device: torch.device) -> Costs:
    """Measure everything, with one thread where a name does not say otherwise."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    on_cuda = device.type == "cuda"
    groups = GROUPS_ON_CUDA if on_cuda else GROUPS
    with tqdm(total=len(groups), unit="group") as bar, threads(1):
        costs = Costs(scale, device, bar)
        for group in groups:
            bar.set_description(group.__name__)
            group(costs)
            bar.update()
    names = SAME | SAME_ON_CUDA if on_cuda else SAME
    costs.ratios |= {name: costs.ratios[other] for name, other in names.items()}
    return costs


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and points: three minutes")
    parser.add_argument("--device", default="cpu", help="where GANs are trained: cpu, cuda or auto")
    options = parser.parse_args(arguments)
    device = resolve_device(options.device)
    scale = (QUICK if options.quick else Scale()).on(device)
    options.out.mkdir(parents=True, exist_ok=True)
    costs = measure(scale, device)
    write(costs, options.out)
    print(to_table(costs))


if __name__ == "__main__":
    main()
