"""How the cost of an inner step grows with images, batches and data sets."""

from __future__ import annotations

import math
import mmap
import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks.costs import FAMILIES, Costs, Curve
from benchmarks.timing import Ratio, side_by_side
from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import GANTrainer, Source

LARGE_IMAGE_BATCH = 8
"""Samples of a batch where images grow: 32 of 256 pixels take several seconds an inner step on a CPU."""
N_LARGE_IMAGES = 64
"""Patches in memory where images grow; noise, as no cost depends on what they show."""
MAPPED_SIDE = 32
"""Pixels a side of the patches in memory-mapped files."""


def growth(costs: Costs) -> None:
    """Time inner steps along every axis; each point is also a ratio to the first one of its curve."""
    _images(costs)
    _batches(costs)
    _data_sets(costs)


def _images(costs: Costs) -> None:
    trainers, rng = {}, torch.Generator().manual_seed(0)
    for size in costs.scale.image_sizes:
        noise = torch.randint(256, (N_LARGE_IMAGES, 3, size, size), generator=rng, dtype=torch.uint8)
        source = PatchSampler(noise.to(costs.device))
        trainers[size] = costs.trainer("light", source, LARGE_IMAGE_BATCH)
    _sweep(costs, "image size", "conv", "pixels a side", trainers, 1)


def _batches(costs: Costs) -> None:
    for family, sizes in costs.scale.batch_sizes.items():
        env = costs.env(FAMILIES[family])
        trainers = {n: costs.trainer(env.networks, env.problem.source, n) for n in sizes}
        _sweep(costs, "batch size", family, "samples", trainers, costs.scale.inner_steps[family])


def _data_sets(costs: Costs) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainers = {}
        for n in costs.scale.n_patches:
            source = mapped_patches(Path(folder) / str(n), n)
            trainers[n] = costs.trainer("light", source, 32)
        _sweep(costs, "data set", "conv", "memory-mapped patches", trainers, costs.scale.inner_steps["conv"])


def mapped_patches(path: Path, n: int) -> Source:
    """Return `n` patches in a memory-mapped file that is made here.

    The file is sparse: it takes no room on the disk, and reading it costs the faults of its pages but no
    disk. The system is told that it is read at random: it would else read 32 pages at every fault, and a
    batch out of a million patches take a hundred times as long.
    """
    shape = (n, 3, MAPPED_SIDE, MAPPED_SIDE)
    with path.open("w+b") as file:
        file.truncate(math.prod(shape))
        mapped = mmap.mmap(file.fileno(), 0)
    mapped.madvise(mmap.MADV_RANDOM)
    return PatchSampler(torch.frombuffer(mapped, dtype=torch.uint8).view(shape))


def _sweep(
    costs: Costs, panel: str, label: str, x_label: str, trainers: dict[int, GANTrainer], n_steps: int
) -> None:
    costs.bar.set_postfix_str(f"{panel}, {label}")
    runs = [partial(trainer.train, n_steps) for trainer in trainers.values()]
    times = side_by_side(runs, costs.scale.repeats) / n_steps
    for x, seconds in [*zip(trainers, times, strict=True)][1:]:
        costs.ratio(f"growth_{panel.replace(' ', '_')}_{label}_{x}", seconds / times[0])
    points = [Ratio.of(seconds) for seconds in times]
    costs.curves.append(Curve(panel, label, x_label, "s", [*trainers], points))
