"""Losses on embeddings and labels, and miners that choose the pairs they look at, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_metric_learning import losses, miners
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, nn
from torch.nn.functional import relu

from snn.names import unknown_name


class HadsellContrastiveLoss(losses.ContrastiveLoss):  # type: ignore[misc]
    """Contrastive loss of Hadsell, Chopra & LeCun 2006, eq. 4 (https://ieeexplore.ieee.org/document/1640964).

    For a pair at distance d: `d² / 2` if similar, `max(0, margin - d)² / 2` if not; the mean over similar
    pairs plus the mean over those dissimilar pairs that are still within the margin. Called with embeddings
    `(N, D)` and labels `(N,)`; pairs with equal labels are similar.

    Args:
        margin: distance beyond which dissimilar pairs are left alone, in (0, 2] on the unit sphere.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__(pos_margin=0, neg_margin=margin, distance=LpDistance(normalize_embeddings=True, p=2))

    def pos_calc(self, pos_pair_dist: Tensor, margin: float) -> Tensor:
        """Return the loss of similar pairs."""
        return relu(pos_pair_dist - margin).square() / 2

    def neg_calc(self, neg_pair_dist: Tensor, margin: float) -> Tensor:
        """Return the loss of dissimilar pairs."""
        return relu(margin - neg_pair_dist).square() / 2


LOSSES: dict[str, Callable[[float, float], nn.Module]] = {
    "contrastive": lambda margin, temperature: cast(nn.Module, HadsellContrastiveLoss(margin)),
    "nt_xent": lambda margin, temperature: cast(nn.Module, losses.NTXentLoss(temperature)),
    "supcon": lambda margin, temperature: cast(nn.Module, losses.SupConLoss(temperature)),
    "triplet": lambda margin, temperature: cast(nn.Module, losses.TripletMarginLoss(margin)),
    "multi_similarity": lambda margin, temperature: cast(nn.Module, losses.MultiSimilarityLoss(2, 50, 0.5)),
}
"""Name → constructor from margin and temperature; what a loss does not know, it does not use.

Contrastive as above; NT-Xent, Chen et al. 2020, eq. 1 (https://arxiv.org/abs/2002.05709); SupCon, Khosla et
al. 2020, eq. 2 (https://arxiv.org/abs/2004.11362); triplet, Schroff et al. 2015, on distances, not their
squares, over all triplets within the margin (https://arxiv.org/abs/1503.03832); multi-similarity, Wang et
al. 2019, with α = 2, β = 50, λ = 0.5 (https://arxiv.org/abs/1904.06627)."""

MINERS: dict[str, Callable[[], nn.Module]] = {
    "batch_hard": lambda: cast(nn.Module, miners.BatchHardMiner()),
    "multi_similarity": lambda: cast(nn.Module, miners.MultiSimilarityMiner(0.1)),
    "pair_margin": lambda: cast(nn.Module, miners.PairMarginMiner(0.2, 0.8)),
    "semihard": lambda: cast(nn.Module, miners.TripletMarginMiner(0.2, "semihard")),
}
"""Name → constructor.

`batch_hard`: each image's farthest similar and nearest dissimilar one (Hermans et al. 2017,
https://arxiv.org/abs/1703.07737). `multi_similarity`: pairs that violate the others' order by less than 0.1
(Wang et al. 2019). `pair_margin`: similar pairs farther than 0.2, dissimilar ones nearer than 0.8.
`semihard`: triplets whose dissimilar image is farther than the similar one, by at most 0.2 (Schroff et al.
2015). None of them draws at random."""


def check_loss(name: str) -> None:
    """Raise ValueError, with the nearest known name, if there is no such loss."""
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)


def check_miner(name: str) -> None:
    """Raise ValueError, with the nearest known name, if there is no such miner; `""` is none."""
    if name and name not in MINERS:
        raise unknown_name("miner", name, MINERS)


def make_loss(
    name: str, *, margin: float = 1.0, temperature: float = 0.2, miner: str = ""
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss `name` as a function of embeddings `(N, D)` and labels `(N,)`.

    Args:
        name: a key of `LOSSES`.
        margin: of the contrastive and the triplet loss.
        temperature: of NT-Xent and SupCon.
        miner: a key of `MINERS`; `""` uses every pair.

    Raises:
        ValueError: for an unknown name.
    """
    check_loss(name)
    check_miner(miner)
    module: Any = LOSSES[name](margin, temperature)
    choose: Any = MINERS[miner]() if miner else None

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        chosen = None if choose is None else choose(embeddings, labels)
        return torch.as_tensor(module(embeddings, labels, chosen))

    return loss
