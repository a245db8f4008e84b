"""Verification: can the network tell pairs of the same from pairs of others?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snn.augmentation import view
from snn.siamese import embed_images, to_float


@dataclass(frozen=True)
class Verification:
    """How well similarity separates pairs that belong together from pairs that do not."""

    auc: float
    """Area under the ROC curve; 0.5 = chance, 1 = perfect."""
    eer: float
    """Equal error rate: where as many similar pairs are rejected as dissimilar ones accepted; 0 = perfect."""
    n_pairs: int
    """How many pairs were drawn, half of them similar."""


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    seed: int = 0,
    n_pairs: int = 4000,
    device: str = "cpu",
) -> Verification:
    """Measure `model` on pairs drawn from held-out `images`.

    Args:
        model: maps float `(N, 3, H, W)` in [-1, 1] to unit-length embeddings `(N, D)`.
        images: uint8 `(N, 3, H, W)`.
        labels: `(N,)`; similar pairs are two images of one class. `None`: two views of one image.
        seed: seed of the pairs and views.
        n_pairs: how many pairs are drawn, half of them similar.
        device: where the network runs.

    Raises:
        ValueError: if the images allow no similar or no dissimilar pair.
    """
    generator = torch.Generator().manual_seed(seed)
    n = len(images)
    if n < 2:
        raise ValueError(f"{n} images allow no dissimilar pair; give at least 2")
    if labels is None:
        x = images.cpu()
        first = _embed_views(model, x, generator, device)
        second = _embed_views(model, x, generator, device)
        a = torch.randint(n, (n_pairs // 2,), generator=generator)
        b = (a + torch.randint(1, n, (len(a),), generator=generator)) % n
        similar, dissimilar = (first[a] * second[a]).sum(dim=1), (first[a] * second[b]).sum(dim=1)
    else:
        embeddings = embed_images(model, images, device=device).cpu()
        same, other = _draw_pairs(labels.cpu(), n_pairs // 2, generator)
        similar, dissimilar = ((embeddings[i] * embeddings[j]).sum(dim=1) for i, j in (same, other))
    return Verification(*roc(similar, dissimilar), n_pairs=len(similar) + len(dissimilar))


def roc(similar: Tensor, dissimilar: Tensor) -> tuple[float, float]:
    """Return area under the ROC curve (ties count half) and equal error rate of two sets of scores."""
    scores = torch.cat([similar, dissimilar]).double()
    positive = torch.cat([torch.ones(len(similar)), torch.zeros(len(dissimilar))]).double()
    order = scores.argsort(descending=True)
    scores, positive = scores[order], positive[order]
    last_of_tie = torch.cat([scores[1:] != scores[:-1], torch.tensor([True])])
    hits = torch.cat([torch.zeros(1), positive.cumsum(0)[last_of_tie] / len(similar)])
    alarms = torch.cat([torch.zeros(1), (1 - positive).cumsum(0)[last_of_tie] / len(dissimilar)])
    auc = torch.trapezoid(hits, alarms)
    nearest = (1 - hits - alarms).abs().argmin()
    return float(auc), float((1 - hits + alarms)[nearest] / 2)


@torch.inference_mode()
def _embed_views(model: nn.Module, images: Tensor, generator: torch.Generator, device: str) -> Tensor:
    return torch.cat(
        [model(view(to_float(batch), generator).to(device)).cpu() for batch in torch.split(images, 256)]
    )


def _draw_pairs(
    labels: Tensor, n: int, generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Draw `n` pairs of one class and `n` of two classes, uniformly over images."""
    classes, position = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(position)
    paired = torch.nonzero(counts[position] > 1).flatten()
    if len(paired) == 0 or len(classes) < 2:
        raise ValueError(
            f"{len(classes)} classes of at most {int(counts.max())} images allow no pair of the same and of "
            "different classes; give two classes with two images, or labels=None"
        )
    order = position.argsort(stable=True)
    start = counts.cumsum(0) - counts
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)) - start[position[order]])
    i = paired[torch.randint(len(paired), (n,), generator=generator)]
    size = counts[position[i]]
    step = 1 + (torch.rand(n, generator=generator) * (size - 1)).long().clamp_max(size - 2)
    same = (i, order[start[position[i]] + (rank[i] + step) % size])
    k = torch.randint(len(labels), (n,), generator=generator)
    # The classes are contiguous in `order`: skip the own one.
    size = counts[position[k]]
    outside = (
        (torch.rand(n, generator=generator) * (len(labels) - size)).long().clamp_max(len(labels) - size - 1)
    )
    place = torch.where(outside >= start[position[k]], outside + size, outside)
    return same, (k, order[place])
