from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from snn.losses import LOSSES, make_loss


def _embeddings(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(12, 5, generator=generator), dim=1), torch.arange(6).repeat(2)


@pytest.mark.parametrize("margin", [0.5, 1.0, 1.5])
def test_contrastive_loss_is_equation_4_of_hadsell(margin: float) -> None:
    embeddings, labels = _embeddings()
    similar, dissimilar = [], []
    for i in range(12):
        for j in range(12):
            if i == j:
                continue
            distance = math.dist(embeddings[i].tolist(), embeddings[j].tolist())
            if labels[i] == labels[j]:
                similar.append(distance**2 / 2)
            elif distance < margin:
                dissimilar.append((margin - distance) ** 2 / 2)
    expected = sum(similar) / len(similar) + (sum(dissimilar) / len(dissimilar) if dissimilar else 0)
    assert make_loss("contrastive", margin=margin)(embeddings, labels).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_nt_xent_is_equation_1_of_simclr() -> None:
    embeddings, labels = _embeddings()
    logits = embeddings @ embeddings.T / 0.3
    total = 0.0
    for i in range(12):
        j = (i + 6) % 12
        others = torch.cat([logits[i, :i], logits[i, i + 1 :]])
        total += float(others.logsumexp(0) - logits[i, j])
    loss = make_loss("nt_xent", temperature=0.3)(embeddings, labels)
    assert loss.item() == pytest.approx(total / 12, rel=1e-4)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_ignore_order_and_prefer_close_pairs(name: str) -> None:
    embeddings, labels = _embeddings()
    loss = make_loss(name)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(embeddings, labels), loss(embeddings[order], labels[order]))
    together = embeddings[:6].repeat(2, 1)
    assert loss(together, labels) < loss(embeddings, labels)


def test_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown loss 'contrastiv'; did you mean 'contrastive'"):
        make_loss("contrastiv")
