from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.disturbances import (
    DISTURBANCES,
    Curve,
    ImageDisturbance,
    SetDisturbance,
    disturbance_curves,
    shuffle,
)
from gan_gym.data.tissue import tissue_patches

IMAGE = {name: d for name, d in DISTURBANCES.items() if isinstance(d, ImageDisturbance)}
SETS = {name: d for name, d in DISTURBANCES.items() if isinstance(d, SetDisturbance)}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return tissue_patches(64, 32, seed=3, n_regions=8).images


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_levels_rise_from_none_and_there_are_at_least_eight_beyond(name: str) -> None:
    levels = DISTURBANCES[name].levels
    assert levels[0] == 0
    assert list(levels) == sorted(set(levels))
    assert len(levels) >= 9


@pytest.mark.parametrize("name", IMAGE)
def test_every_level_takes_images_further_from_the_undamaged_ones(name: str, images: Tensor) -> None:
    disturbance = IMAGE[name]
    errors = []
    for level in disturbance.levels[1:]:
        damaged = disturbance.damage(images, level, rng())
        assert damaged.shape == images.shape
        assert damaged.dtype == torch.uint8
        errors.append(float((damaged.float() - images.float()).square().mean()))
    assert errors[0] > 0
    assert errors == sorted(errors)


def test_shuffling_moves_whole_blocks_and_only_as_many_as_asked(images: Tensor) -> None:
    shuffled = shuffle(images, 0.5, rng())
    blocks = [
        x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).flatten(3) for x in (images, shuffled)
    ]
    before, after = (x.flatten(1, 2).long() for x in blocks)
    moved = (before != after).any(dim=2).sum(dim=1)
    assert (moved <= 8).all()
    assert moved.float().mean() > 7  # two blocks of bare glass may be equal
    weights = torch.arange(1, before.shape[2] + 1)
    assert torch.equal((before * weights).sum(2).sort().values, (after * weights).sum(2).sort().values)


@pytest.mark.parametrize("name", SETS)
def test_sets_change_in_as_large_a_share_as_asked(name: str) -> None:
    labels = torch.arange(100) % 4
    for level in SETS[name].levels:
        index = SETS[name].choose(labels, 50, level, rng(5))
        assert index.shape == labels.shape
        replaced = index != torch.arange(100)
        if name == "foreign_tissue":
            assert (index >= 100).sum() == round(level * 100)
            assert not replaced[index < 100].any()
        else:
            assert (index < 100).all()
        if name == "repeats":
            assert len(index.unique()) == max(1, round(100 * (1 - level)))
        if name == "class_drop":
            dropped = torch.bincount(labels[index], minlength=4)
            assert dropped.max() == 25 + round(level * 75)
        if name == "collapse_in_class":
            inside = labels == labels[index[replaced]][0] if replaced.any() else labels == -1
            assert not replaced[~inside].any()
            assert torch.equal(labels[index], labels)
            if level == 1:
                assert len(index[inside].unique()) == 1


def test_classes_go_one_after_the_other() -> None:
    labels = torch.arange(120) % 4
    index = DISTURBANCES["class_drop"].choose(labels, 0, 0.5, rng(1))  # type: ignore[union-attr]
    left = torch.bincount(labels[index], minlength=4)
    assert sorted(left.tolist())[:2] == [0, 15]


def test_rank_correlation_of_curves() -> None:
    levels = (0.0, 1.0, 2.0, 3.0)
    assert Curve(levels, (1.0, 0.5, 0.2, 0.0)).spearman == pytest.approx(-1)
    assert Curve(levels, (0.0, 0.1, 0.2, 0.9)).spearman == pytest.approx(1)
    assert Curve(levels, (0.5,) * 4).spearman == 0


def test_curves_follow_the_score_and_the_seed(images: Tensor) -> None:
    labels = torch.arange(64) % 2

    def embed(x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x.float(), 2, 1).std(dim=(1, 2, 3))[:, None]

    def curves(seed: int) -> dict[str, Curve]:
        return disturbance_curves(
            lambda features: float(features.mean()),
            embed,
            images,
            labels,
            torch.zeros(10, 3, 32, 32, dtype=torch.uint8),
            n_fakes=32,
            n_draws=2,
            seed=seed,
        )

    first, again, other = curves(0), curves(0), curves(1)
    assert first == again
    assert first["noise"] != other["noise"]
    assert first["blur"].spearman == pytest.approx(-1)
    assert first["foreign_tissue"].scores[-1] == 0
    start = {curve.scores[0] for curve in first.values()}
    assert len(start) == 1  # nothing is damaged at the first level


def test_what_cannot_be_measured_is_left_out(images: Tensor) -> None:
    curves = disturbance_curves(
        lambda features: float(features.mean()),
        lambda x: x.float().mean(dim=(2, 3)),
        images,
        torch.zeros(64, dtype=torch.int64),
        None,
        n_draws=1,
    )
    assert set(DISTURBANCES) - set(curves) == {"class_drop", "foreign_tissue"}
