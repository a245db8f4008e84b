"""Verification: can the network tell pairs of the same from pairs of others?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from snn.augmentation import view
from snn.classes import ClassIndex
from snn.siamese import embed_images, to_float


@dataclass(frozen=True)
class Verification:
    """How well similarity separates pairs that belong together from pairs that do not."""

    auc: float
    """Area under the ROC curve; 0.5 = chance, 1 = perfect."""
    eer: float
    """Equal error rate: where as many similar pairs are rejected as dissimilar ones accepted; 0 = perfect."""
    recall1: float
    """Share of the images whose nearest neighbour among the others belongs to them; 1 = perfect."""
    n_pairs: int
    """How many pairs were drawn, half of them similar."""
    auc_against: Mapping[str, float]
    """AUC against each kind of dissimilar pair alone."""


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    seed: int = 0,
    n_pairs: int = 4000,
    device: str = "cpu",
    groups: Tensor | None = None,
    damage: Callable[[Tensor, Generator], Tensor] | None = None,
    shift: float = 0.5,
    flips: bool = True,
    stain_jitter: float = 0.05,
) -> Verification:
    """Measure `model` on pairs drawn from held-out `images`, and on all nearest neighbours among them.

    With labels, an image's neighbour is right if it has its class (images alone in their class are not asked
    about); without, the nearest second view of a first view must be of the same image. Dissimilar pairs are,
    in equal parts, an image with another one; where `groups` are given, with another one of its own slide, so
    that its stain gives nothing away; and where `damage` is given, with a damaged view of itself.

    Args:
        model: maps float `(N, 3, H, W)` in [-1, 1] to unit-length embeddings `(N, D)`.
        images: uint8 `(N, 3, H, W)`.
        labels: `(N,)`; similar pairs are two images of one class. `None`: two views of one image.
        seed: seed of the pairs and views.
        n_pairs: how many pairs are drawn, half of them similar.
        device: where the network runs.
        groups: `(N,)` slide or patient of each image; only without labels.
        damage: maps float images `(N, 3, H, W)` in [-1, 1] to damaged ones; only without labels.
        shift: of the views, as in `augmentation.view`; so are `flips` and `stain_jitter`.
        flips: whether views may be mirrored and turned.
        stain_jitter: standard deviation of the relative strength of each stain.

    Raises:
        ValueError: if the images allow no similar or no dissimilar pair.
    """
    generator = torch.Generator().manual_seed(seed)
    n = len(images)
    if n < 2:
        raise ValueError(f"{n} images allow no dissimilar pair; give at least 2")
    if labels is not None:
        if groups is not None or damage is not None:
            raise ValueError("groups and damage make harder pairs of views; leave them out, or the labels")
        return _of_classes(embed_images(model, images, device=device).cpu(), labels.cpu(), n_pairs, generator)

    def embed_views(damage: Callable[[Tensor, Generator], Tensor] | None = None) -> Tensor:
        parts = []
        for part in torch.split(images.cpu(), 256):
            seen = view(to_float(part), generator, shift=shift, flips=flips, stain_jitter=stain_jitter)
            seen = seen if damage is None else damage(seen, generator)
            parts.append(model(seen.to(device)).cpu())
        return torch.cat(parts)

    first, second = embed_views(), embed_views()
    a = torch.randint(n, (n_pairs // 2,), generator=generator)
    others = {"other": (a, second[(a + torch.randint(1, n, (len(a),), generator=generator)) % n])}
    if groups is not None:
        index = ClassIndex(groups)
        neighboured = torch.nonzero(index.size > 1).flatten()
        if len(neighboured):
            b = neighboured[torch.randint(len(neighboured), (len(a),), generator=generator)]
            others["same_slide"] = (b, second[index.same(b, generator)])
    if damage is not None:
        others["damaged"] = (a, embed_views(damage)[a])
    hits = nearest(first, second) == torch.arange(n)
    dissimilar = {kind: (first[b] * other).sum(dim=1) for kind, (b, other) in others.items()}
    return _verification((first[a] * second[a]).sum(dim=1), dissimilar, hits)


def _of_classes(embeddings: Tensor, labels: Tensor, n_pairs: int, generator: Generator) -> Verification:
    """Measure pairs of one class against pairs of two."""
    index = ClassIndex(labels)
    paired = torch.nonzero(index.size > 1).flatten()
    if len(paired) == 0 or index.n_classes < 2:
        raise ValueError(
            f"{index.n_classes} classes of at most {int(index.size.max())} images allow no pair of the "
            "same and of different classes; give two classes with two images, or labels=None"
        )
    a = paired[torch.randint(len(paired), (n_pairs // 2,), generator=generator)]
    b = torch.randint(len(labels), (n_pairs // 2,), generator=generator)
    similar = (embeddings[a] * embeddings[index.same(a, generator)]).sum(dim=1)
    dissimilar = (embeddings[b] * embeddings[index.other(b, generator)]).sum(dim=1)
    hits = labels[nearest(embeddings[paired], embeddings, paired)] == labels[paired]
    return _verification(similar, {"other_class": dissimilar}, hits)


def _verification(similar: Tensor, dissimilar: dict[str, Tensor], hits: Tensor) -> Verification:
    n_each = len(similar) // len(dissimilar)
    joined = torch.cat([scores[:n_each] for scores in dissimilar.values()])
    auc, eer = roc(similar, joined)
    return Verification(
        auc,
        eer,
        recall1=float(hits.float().mean()),
        n_pairs=len(similar) + len(joined),
        auc_against={kind: roc(similar, scores)[0] for kind, scores in dissimilar.items()},
    )


def nearest(queries: Tensor, gallery: Tensor, itself: Tensor | None = None) -> Tensor:
    """Return the place `(Q,)` in `gallery` `(N, D)` that is most similar to each of `queries` `(Q, D)`.

    Args:
        queries: unit-length embeddings.
        gallery: unit-length embeddings.
        itself: `(Q,)` the place in the gallery of each query, which is no neighbour; `None`: it is not there.
    """
    found = []
    for part in torch.split(torch.arange(len(queries)), 1024):
        similarity = queries[part] @ gallery.T
        if itself is not None:
            similarity[torch.arange(len(part)), itself[part]] = -torch.inf
        found.append(similarity.argmax(dim=1))
    return torch.cat(found)


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
