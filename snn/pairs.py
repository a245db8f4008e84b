"""Batches whose pairs are similar (two views of one image) or dissimilar (anything else)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snn.augmentation import degrade, view
from snn.classes import ClassIndex
from snn.siamese import to_float
from snn.stages import Stage


@dataclass(frozen=True)
class PairBatch:
    """Views of images. Rows with the same `instance` are similar pairs, all others dissimilar."""

    views: Tensor
    """`(N, 3, H, W)` float in [-1, 1]; two views an image, then the degraded ones."""
    instance: Tensor
    """`(N,)` int64; each degraded view is an instance of its own."""
    labels: Tensor | None
    """`(2 B,)` int64, the classes of the rows that are not degraded; `None` where nothing is known."""


class PairSampler:
    """Draw the pair batch of any step: a function of the seed and the step alone.

    Instance discrimination is the base, since an embedding fitted on classes alone would pull each class to a
    point and be blind to a collapse within it; labels refine it. Where there are labels, half of a
    batch are partners, by class, of the other half.

    Args:
        images: uint8 `(M, 3, H, W)`.
        labels: int64 `(M,)` or `None`.
        stage: batch size and augmentation.
        seed: any number of integers.
    """

    def __init__(self, images: Tensor, labels: Tensor | None, stage: Stage, seed: tuple[int, ...]) -> None:
        self.images = images
        self.labels = labels
        self.classes = None if labels is None or stage.label_weight == 0 else ClassIndex(labels)
        self.stage = stage
        self.seed = seed

    def batch(self, step: int) -> PairBatch:
        """Return the batch of `step`."""
        state = np.random.SeedSequence((*self.seed, step)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state) >> 1)
        stage = self.stage
        n = min(stage.batch_size, len(self.images))
        index = torch.randperm(len(self.images), generator=generator)[:n]
        if self.classes is not None:
            half = n // 2
            paired = torch.cat([self.classes.same(index[:half], generator), index[: n - half]])
            distinct = torch.tensor(list(dict.fromkeys(paired.tolist())))  # in no order of their classes
            index = distinct if len(distinct) > 1 else index
            n = len(index)
        x = to_float(self.images[index.to(self.images.device)]).cpu()
        both = view(
            torch.cat([x, x]),
            generator,
            shift=stage.shift,
            flips=stage.flips,
            stain_jitter=stage.stain_jitter,
        )
        n_degraded = round(stage.degraded * n)
        damaged = degrade(both[:n_degraded], generator) if n_degraded else both[:0]
        instance = torch.arange(n).repeat(2)
        return PairBatch(
            views=torch.cat([both, damaged]),
            instance=torch.cat([instance, torch.arange(n, n + n_degraded)]),
            labels=None if self.labels is None else self.labels.cpu()[index].repeat(2),
        )
