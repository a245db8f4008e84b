"""Keep patches from training, for evaluation."""

from __future__ import annotations

import logging

import torch

from gan_gym.data.patches import PatchSet
from gan_gym.randomness import generator, stream_seed

logger = logging.getLogger(__name__)


def split_held_out(patches: PatchSet, fraction: float, seed: int) -> tuple[PatchSet, PatchSet]:
    """Split into (train, held out) by slide or patient; within it, with a warning, where there is one."""
    if len(torch.unique(patches.groups)) > 1:
        return patches.split(fraction, stream_seed(seed, "split"))
    logger.warning(
        "all patches come from one slide or patient, the held-out ones too: the evaluation is optimistic"
    )
    order = torch.randperm(len(patches), generator=generator(seed, "split"))
    n_held = max(1, round(fraction * len(patches)))
    return patches.subset(order[n_held:]), patches.subset(order[:n_held])


def describe_split(*parts: PatchSet) -> str:
    """Say how `split_held_out` made these parts, for the record of an evaluation."""
    groups = torch.cat([part.groups for part in parts])
    n_groups = len(torch.unique(groups))
    if n_groups == 1:
        return "held out at random within one slide or patient"
    return "held out at random" if n_groups == len(groups) else "held out by slide or patient"


def drawn(patches: PatchSet, most: int, seed: int) -> PatchSet:
    """Return at most `most` patches, drawn at random: neighbours are of one class, slide or patient."""
    if len(patches) <= most:
        return patches
    order = torch.randperm(len(patches), generator=generator(seed, "evaluated"))
    return patches.subset(order[:most].sort().values)
