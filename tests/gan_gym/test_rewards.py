from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import to_float
from gan_gym.data.tissue import tissue_patches
from gan_gym.rewards import Scorer, View, load_reward_model, siamese_scorer
from snn.similarity import NOTHING, ReferenceStatistics, Similarity, weakest
from snn.spectrum import Spectrum

CPU = torch.device("cpu")


def test_the_weakest_score_is_the_lowest_of_each() -> None:
    first, second = Similarity(0.9, 0.2, 1.0, 0.8, 0.55), Similarity(0.3, 0.6, 0.9, 0.7, 0.55)
    both = weakest([first, second])
    assert (both.fidelity, both.coverage, both.diversity, both.kernel) == (0.3, 0.2, 0.9, 0.7)
    assert both.quality == pytest.approx((2 * 0.3 * 0.2 / 0.5 + 0.7) / 2)
    assert both == weakest([second, first])
    assert asdict(weakest([first])) == pytest.approx({**asdict(first), "quality": (0.36 / 1.1 + 0.8) / 2})


def test_what_convinces_only_one_of_two_views_gains_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(600, 4, generator=generator)

    def view(columns: slice) -> View:
        def features(x: Tensor) -> Tensor:
            return x[:, columns]

        noise = 9 + torch.randn(100, 4, generator=generator)
        return View(
            features, ReferenceStatistics(features(real), noise_features=features(noise), n_fakes=100)
        )

    fooling = torch.randn(100, 4, generator=generator)
    fooling[:, 2:] += 9
    alone = Scorer(view(slice(0, 2)), CPU)
    guarded = Scorer(view(slice(0, 2)), CPU, view(slice(2, 4)))
    assert alone.score(fooling).quality > 0.8
    assert guarded.score(fooling).quality < 0.1
    assert guarded.score(torch.randn(100, 4, generator=generator)).quality > 0.8


def test_a_guarded_score_is_never_above_the_reward_models_own() -> None:
    patches, fresh = tissue_patches(400, 32, seed=1), tissue_patches(64, 32, seed=2)
    guarded = siamese_scorer(load_reward_model(None, CPU), patches, 64, CPU)
    alone = Scorer(guarded.views[0], CPU)
    x = to_float(fresh.images)
    for strength in (0.0, 0.2, 0.8):
        fakes = x + strength * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        own, both = alone.score(fakes), guarded.score(fakes)
        assert both.fidelity <= own.fidelity
        assert both.coverage <= own.coverage
        assert both.kernel <= own.kernel
        assert torch.equal(alone.similarity(fakes), guarded.similarity(fakes))
    assert guarded.score(x).quality > 0.5


def test_the_guard_is_standardised_on_what_it_compares_with() -> None:
    """Were it on the first class of a folder, the others would lie deviations away from its mean."""
    n, generator = 1100, torch.Generator().manual_seed(0)
    images = torch.randint(0, 120, (2 * n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    images[n:] += 100
    scorer = siamese_scorer(Spectrum(to_float(images)), PatchSet.unlabelled(images), 64, CPU)
    features = scorer.views[1].features(to_float(images))
    assert features.mean(0).abs().max() < 0.2
    assert (features.std(0) - 1).abs().max() < 0.2


def test_the_guard_of_few_patches_is_standardised_on_all() -> None:
    patches = tissue_patches(101, 16, seed=1)
    x = to_float(patches.images)
    guard = siamese_scorer(Spectrum(x), patches, 16, CPU).views[1]
    assert torch.equal(guard.features(x), Spectrum(x)(x))


def test_sets_of_patches_scored_together_score_as_alone() -> None:
    scorer = siamese_scorer(load_reward_model(None, CPU), tissue_patches(200, 32, seed=1), 24, CPU)
    x = to_float(tissue_patches(48, 32, seed=2).images).unflatten(0, (2, 24))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    sets = torch.cat([x, x + 0.3 * noise])
    alone = [scorer.score(samples) for samples in sets]
    _assert_close(scorer.score_many(sets), alone)
    _assert_close(scorer.score_many(sets.flip(0)), alone[::-1])
    sets[1, 5, 0, 3, 3] = torch.nan
    _assert_close(scorer.score_many(sets), [alone[0], NOTHING, *alone[2:]])


def _assert_close(scores: list[Similarity], expected: list[Similarity]) -> None:
    for one, other in zip(scores, expected, strict=True):
        assert asdict(one) == pytest.approx(asdict(other), abs=1e-4)
