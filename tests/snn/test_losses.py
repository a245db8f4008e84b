from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from snn.losses import LOSSES, MINERS, make_loss


def _embeddings(seed: int = 0, n: int = 12, n_classes: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, 5, generator=generator), dim=1), torch.arange(n_classes).repeat(
        n // n_classes
    )


def _distances(embeddings: Tensor) -> list[list[float]]:
    rows = embeddings.tolist()
    return [[math.dist(a, b) for b in rows] for a in rows]


@pytest.mark.parametrize("margin", [0.5, 1.0, 1.5])
def test_contrastive_loss_is_equation_4_of_hadsell(margin: float) -> None:
    embeddings, labels = _embeddings()
    similar, dissimilar = [], []
    for i, j in itertools.permutations(range(12), 2):
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


def test_supcon_is_equation_2_of_khosla() -> None:
    embeddings, labels = _embeddings(n_classes=3)
    logits = embeddings @ embeddings.T / 0.3
    total = 0.0
    for i in range(12):
        others = torch.cat([logits[i, :i], logits[i, i + 1 :]]).logsumexp(0)
        similar = [j for j in range(12) if j != i and labels[j] == labels[i]]
        total += sum(float(others - logits[i, j]) for j in similar) / len(similar)
    loss = make_loss("supcon", temperature=0.3)(embeddings, labels)
    assert loss.item() == pytest.approx(total / 12, rel=1e-4)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_loss_is_schroffs_on_distances(margin: float) -> None:
    embeddings, labels = _embeddings(n_classes=3)
    d = _distances(embeddings)
    violations = []
    for a, p, n in itertools.permutations(range(12), 3):
        if labels[a] == labels[p] != labels[n]:
            violations.append(d[a][p] - d[a][n] + margin)
    positive = [v for v in violations if v > 0]
    loss = make_loss("triplet", margin=margin)(embeddings, labels)
    assert loss.item() == pytest.approx(sum(positive) / len(positive), rel=1e-4)


def test_multi_similarity_loss_is_wangs() -> None:
    embeddings, labels = _embeddings(n_classes=3)
    cosine = (embeddings @ embeddings.T).tolist()
    total = 0.0
    for i in range(12):
        others = [j for j in range(12) if j != i]
        near = sum(math.exp(-2 * (cosine[i][j] - 0.5)) for j in others if labels[j] == labels[i])
        far = sum(math.exp(50 * (cosine[i][j] - 0.5)) for j in others if labels[j] != labels[i])
        total += math.log1p(near) / 2 + math.log1p(far) / 50
    loss = make_loss("multi_similarity")(embeddings, labels)
    assert loss.item() == pytest.approx(total / 12, rel=1e-4)


def _mined(name: str, embeddings: Tensor, labels: Tensor) -> set[tuple[int, ...]]:
    found = [part.tolist() for part in MINERS[name]()(embeddings, labels)]
    if len(found) == 3:
        return set(zip(*found, strict=True))
    similar, dissimilar = zip(*found[:2], strict=True), zip(*found[2:], strict=True)
    return {(1, *pair) for pair in similar} | {(0, *pair) for pair in dissimilar}


def test_batch_hard_takes_the_farthest_similar_and_the_nearest_dissimilar() -> None:
    embeddings, labels = _embeddings(n_classes=3)
    d = _distances(embeddings)
    expected = set()
    for a in range(12):
        p = max((j for j in range(12) if j != a and labels[j] == labels[a]), key=lambda j: d[a][j])
        n = min((j for j in range(12) if labels[j] != labels[a]), key=lambda j: d[a][j])
        expected.add((a, p, n))
    assert _mined("batch_hard", embeddings, labels) == expected


def test_other_miners_take_what_their_inequalities_say() -> None:
    embeddings, labels = _embeddings(n_classes=3)
    d, cosine = _distances(embeddings), (embeddings @ embeddings.T).tolist()
    same = [[bool(labels[i] == labels[j]) for j in range(12)] for i in range(12)]
    pairs = list(itertools.permutations(range(12), 2))
    margin = {(1, i, j) for i, j in pairs if same[i][j] and d[i][j] > 0.2}
    margin |= {(0, i, j) for i, j in pairs if not same[i][j] and d[i][j] < 0.8}
    assert _mined("pair_margin", embeddings, labels) == margin
    violating = set()
    for i, j in pairs:
        if same[i][j] and cosine[i][j] - 0.1 < max(cosine[i][k] for k in range(12) if not same[i][k]):
            violating.add((1, i, j))
        least = min(cosine[i][k] for k in range(12) if same[i][k] and k != i)
        if not same[i][j] and cosine[i][j] + 0.1 > least:
            violating.add((0, i, j))
    assert _mined("multi_similarity", embeddings, labels) == violating
    triplets = {
        (a, p, n)
        for a, p, n in itertools.permutations(range(12), 3)
        if same[a][p] and not same[a][n] and 0 < d[a][n] - d[a][p] <= 0.2
    }
    assert _mined("semihard", embeddings, labels) == triplets


@pytest.mark.parametrize("miner", ["", *sorted(MINERS)])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_with_every_miner_survives_any_batch(name: str, miner: str) -> None:
    """Finite loss and gradient where there are no pairs, equal images, or one class; no random draw."""
    loss, state = make_loss(name, miner=miner), torch.get_rng_state()
    embeddings, _ = _embeddings()
    batches = {
        "all alone": (embeddings, torch.arange(12)),
        "one class": (embeddings, torch.zeros(12, dtype=torch.long)),
        "equal images": (embeddings[:1].repeat(12, 1), torch.arange(6).repeat(2)),
        "two images": (embeddings[:2], torch.arange(2)),
        "one pair and one alone": (embeddings[:3], torch.tensor([0, 0, 1])),
    }
    for kind, (values, labels) in batches.items():
        leaf = values.clone().requires_grad_(True)
        value = loss(normalize(leaf, dim=1), labels)
        value.backward()
        assert torch.isfinite(value), kind
        assert leaf.grad is not None, kind
        assert torch.isfinite(leaf.grad).all(), kind
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_ignore_order_and_prefer_close_pairs(name: str) -> None:
    embeddings, labels = _embeddings()
    loss = make_loss(name)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(embeddings, labels), loss(embeddings[order], labels[order]))
    together = embeddings[:6].repeat(2, 1)
    assert loss(together, labels) < loss(embeddings, labels)


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown loss 'contrastiv'; did you mean 'contrastive'"):
        make_loss("contrastiv")
    with pytest.raises(ValueError, match="unknown miner 'batchhard'; did you mean 'batch_hard'"):
        make_loss("triplet", miner="batchhard")
