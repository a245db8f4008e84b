"""Losses on embeddings and instance labels, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from pytorch_metric_learning import losses
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
}
"""Name → constructor from margin and temperature. NT-Xent: Chen et al. 2020 (https://arxiv.org/abs/2002.05709)."""


def check_loss(name: str) -> None:
    """Raise ValueError, with the nearest known name, if there is no such loss."""
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)


def make_loss(
    name: str, *, margin: float = 1.0, temperature: float = 0.2
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss `name` as a function of embeddings `(N, D)` and labels `(N,)`.

    Raises:
        ValueError: for an unknown name.
    """
    check_loss(name)
    module: Any = LOSSES[name](margin, temperature)

    def loss(embeddings: Tensor, labels: Tensor) -> Tensor:
        return torch.as_tensor(module(embeddings, labels))

    return loss
