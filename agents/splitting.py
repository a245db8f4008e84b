"""Keep patches from training, for evaluation."""

from __future__ import annotations

import logging

import torch

from gan_gym.data.patches import PatchSet
from gan_gym.randomness import generator, stream_seed

logger = logging.getLogger(__name__)


def split_held_out(patches: PatchSet, fraction: float, seed: int) -> tuple[PatchSet, PatchSet]:
    """Split into (train, held out) by slide or patient; within it, with a warning, where there is one.

    A share held out that is off by more than half of `fraction` is warned of.
    """
    if len(torch.unique(patches.groups)) > 1:
        train, held_out = patches.split(fraction, stream_seed(seed, "split"))
        share = len(held_out) / len(patches)
        if abs(share - fraction) > fraction / 2:
            logger.warning(
                "%d of %d patches (%.3g %%) are held out, not %.3g %%: slides or patients stay whole, and "
                "some are too large for that share",
                len(held_out),
                len(patches),
                100 * share,
                100 * fraction,
            )
        return train, held_out
    logger.warning(
        "all patches come from one slide or patient, the held-out ones too: the evaluation is optimistic"
    )
    order = torch.randperm(len(patches), generator=generator(seed, "split"))
    n_held = max(1, round(fraction * len(patches)))
    return patches.subset(order[n_held:]), patches.subset(order[:n_held])


def more_to_train_on(patches: PatchSet, needed: int) -> str:
    """Return the remedy where `split_held_out` leaves fewer patches to train on than `needed`."""
    more = "give more patches from more slides or patients"
    _, sizes = torch.unique(patches.groups, return_counts=True)
    least = int(sizes.min()) if len(sizes) > 1 else 1
    return f"lower --held_out, or {more}" if len(patches) - least >= needed else more


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
