from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from snn import evaluate
from snn.classes import ClassIndex
from snn.evaluation import nearest, roc


@pytest.mark.parametrize("seed", range(4))
def test_roc_equals_sklearn_with_ties(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    similar = (torch.randn(80, generator=generator) + 1).mul(3).round()
    dissimilar = torch.randn(50, generator=generator).mul(3).round()
    auc, eer = roc(similar, dissimilar)
    truth = [1] * 80 + [0] * 50
    assert auc == pytest.approx(roc_auc_score(truth, torch.cat([similar, dissimilar]).numpy()))
    assert 0 < eer < 0.5


def test_roc_end_points() -> None:
    low, high = torch.zeros(5), torch.ones(7)
    assert roc(high, low) == (1.0, 0.0)
    assert roc(low, high) == (0.0, 1.0)
    assert roc(low, low) == (0.5, 0.5)


def test_partners_are_of_the_same_and_of_other_classes() -> None:
    labels = torch.tensor([3, 1, 1, 3, 2, 1, 3, 3, 1])
    index = ClassIndex(labels)
    generator = torch.Generator().manual_seed(0)
    every = torch.arange(9).repeat(200)
    same, other = index.same(every, generator), index.other(every, generator)
    assert torch.equal(labels[same], labels[every])
    assert bool((labels[other] != labels[every]).all())
    paired = labels[every] != 2
    assert bool((same != every)[paired].all())
    for i in range(9):
        reached_same, reached_other = set(same[every == i].tolist()), set(other[every == i].tolist())
        assert reached_same == {j for j in range(9) if labels[j] == labels[i] and (j != i or labels[i] == 2)}
        assert reached_other == {j for j in range(9) if labels[j] != labels[i]}


class _MeanColour(nn.Module):
    """Embeds an image as the direction of its mean colour."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x.mean(dim=(2, 3)) + 1e-3, dim=1)


def _colours() -> tuple[Tensor, Tensor]:
    labels = torch.arange(40) % 2
    images = torch.randint(0, 60, (40, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    images[labels == 0, 0] += 180
    images[labels == 1, 2] += 180
    return images.to(torch.uint8), labels


def test_separable_classes_are_verified_and_noise_is_not() -> None:
    images, labels = _colours()
    assert evaluate(_MeanColour(), images, labels, n_pairs=500).auc == pytest.approx(1.0)
    shuffled = labels[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    assert evaluate(_MeanColour(), images, shuffled, n_pairs=2000).auc == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("without_itself", [False, True])
def test_nearest_neighbours_equal_a_search_by_hand(without_itself: bool) -> None:
    gallery = nn.functional.normalize(torch.randn(1500, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    itself = torch.arange(0, 1500, 7) if without_itself else None
    queries = gallery[itself] if itself is not None else gallery[:1100].roll(1, dims=1)
    found = nearest(queries, gallery, itself)
    for i in range(0, len(queries), 50):
        distance = (gallery - queries[i]).norm(dim=1)
        if itself is not None:
            distance[itself[i]] = torch.inf
        assert distance[found[i]] == pytest.approx(distance.min().item(), abs=1e-6)


def test_recall_counts_neighbours_of_the_same_class_or_image() -> None:
    images, labels = _colours()
    assert evaluate(_MeanColour(), images, labels).recall1 == 1
    alone = labels.clone()
    alone[0] = 2
    assert evaluate(_MeanColour(), images, alone).recall1 == 1
    shuffled = labels[torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    assert evaluate(_MeanColour(), images, shuffled).recall1 < 0.8
    unchanged = {"shift": 0.0, "flips": False, "stain_jitter": 0.0}
    assert evaluate(_MeanColour(), images, **unchanged).recall1 == 1
    assert evaluate(_MeanColour(), images.roll(1, dims=3) // 2, stain_jitter=0.5).recall1 < 0.8


def test_views_of_one_image_are_verified_without_labels() -> None:
    images, _ = _colours()
    result = evaluate(_MeanColour(), images, seed=1, n_pairs=600)
    assert result.n_pairs == 600
    assert result.auc > 0.6
    assert evaluate(_MeanColour(), images, seed=1, n_pairs=600) == result
    assert evaluate(_MeanColour(), images, seed=2, n_pairs=600) != result


def test_impossible_pairs_are_refused() -> None:
    images, labels = _colours()
    with pytest.raises(ValueError, match="give two classes with two images"):
        evaluate(_MeanColour(), images, torch.zeros(40))
    with pytest.raises(ValueError, match="give two classes with two images"):
        evaluate(_MeanColour(), images, torch.arange(40))
    with pytest.raises(ValueError, match="give at least 2"):
        evaluate(_MeanColour(), images[:1])
    assert labels.shape == (40,)


class _Pixels(nn.Module):
    """Embeds an image as its pixels' mean and spread."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1), dim=1)


def test_neighbours_of_one_slide_are_harder_than_others_where_stain_gives_slides_away() -> None:
    images, slides = _colours()
    plain = evaluate(_Pixels(), images, n_pairs=2000)
    hard = evaluate(_Pixels(), images, n_pairs=2000, groups=slides)
    assert set(plain.auc_against) == {"other"}
    assert set(hard.auc_against) == {"other", "same_slide"}
    assert hard.auc_against["other"] > hard.auc_against["same_slide"] + 0.1
    middle = sum(hard.auc_against.values()) / 2
    assert hard.auc == pytest.approx(middle, abs=0.03)


def test_damaged_views_are_told_apart_only_where_damage_is_seen() -> None:
    images, _ = _colours()

    def inverted(x: Tensor, generator: torch.Generator) -> Tensor:
        return -x

    seen = evaluate(_Pixels(), images, damage=inverted).auc_against
    unseen = evaluate(_Pixels(), images, damage=lambda x, generator: x).auc_against
    assert seen["damaged"] > 0.95
    assert unseen["damaged"] == pytest.approx(0.5, abs=0.1)  # 40 images


def test_slides_of_one_patch_make_no_pair_and_labels_exclude_harder_pairs() -> None:
    images, labels = _colours()
    assert set(evaluate(_Pixels(), images, groups=torch.arange(40)).auc_against) == {"other"}
    with pytest.raises(ValueError, match="leave them out, or the labels"):
        evaluate(_Pixels(), images, labels, groups=labels)
