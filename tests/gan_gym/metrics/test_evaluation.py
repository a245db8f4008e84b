"""The evaluation as a whole: complete, explained, seeded, and in the right order on real patches."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from gan_gym.data.patches import PatchSet
from gan_gym.metrics import (
    METRICS,
    Decoder,
    density_coverage,
    diversity,
    embed,
    evaluate,
    evaluate_images,
    kid,
    load_extractor,
    memorisation,
    precision_recall,
)
from tests.gan_gym.metrics.test_nuclei import drawn


class Projection:
    """A cheap extractor: a fixed random projection of the pixels."""

    name = "projection"
    sha256 = "0" * 64

    def __init__(self, broken: bool = False) -> None:
        self.weights = torch.randn(3 * 8 * 8, 16, generator=torch.Generator().manual_seed(0))
        self.broken = broken

    def __call__(self, images: Tensor) -> Tensor:
        return (
            adaptive_avg_pool2d(images, 8).flatten(1) @ self.weights * (float("nan") if self.broken else 1.0)
        )


def patches(n: int, seed: int, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)


PIXELS = {"stain_hematoxylin", "stain_eosin", "nuclei_count", "nuclei_area"}
CLASSES = {"downstream_synthetic", "downstream_real", "downstream_both"}


def tissue(n: int, seed: int) -> PatchSet:
    """H&E of two classes, with more nuclei in the second, three patches a patient."""
    labels = torch.arange(n) % 2
    images = drawn([2 + i % 3 + 3 * int(label) for i, label in enumerate(labels)], seed=seed)
    return PatchSet(images, labels, torch.arange(n) // 3, ("normal", "tumor"))


def test_with_everything_given_every_metric_but_fid_has_a_value():
    decoder = Decoder(lambda z: z.reshape(-1, 3, 32, 32).tanh(), 3 * 32 * 32)
    train = patches(60, 2, size=32)
    result = evaluate(tissue(90, 0), tissue(80, 1), train=train, decoder=decoder, extractor=Projection())
    assert {key for key, metric in result.metrics.items() if metric.value is None} == {"fid"}
    document = result.to_json()
    assert document["stain_eosin"]["mean_real"] == pytest.approx(
        document["stain_eosin"]["mean_fake"], rel=0.2
    )
    assert document["downstream_real"]["split_test"] == "by slide or patient"
    assert document["downstream_real"]["chance"] == 0.5


def test_every_metric_comes_with_a_value_or_a_reason():
    figures = evaluate_images(patches(60, 0), patches(50, 1), train=patches(60, 2), extractor=Projection())
    assert tuple(figures) == METRICS
    missing = {key for key, metric in figures.items() if metric.value is None}
    assert missing == {"fid", "path_length", *PIXELS, *CLASSES}
    assert "2,048" in figures["fid"].reason
    assert "--run" in figures["path_length"].reason
    assert all("real patches do not look like H&E" in figures[key].reason for key in PIXELS)
    assert all("class folders" in figures[key].reason for key in CLASSES)
    text = json.dumps({key: metric.to_json() for key, metric in figures.items()}, allow_nan=False)
    assert "NaN" not in text


@pytest.mark.parametrize("n", [1, 2, 9, 12, 30])
def test_few_images_give_reasons_and_the_other_figures_still_come(n: int):
    figures = evaluate_images(patches(100, 0), patches(n, 1), extractor=Projection())
    computed = {key for key, metric in figures.items() if metric.value is not None}
    expected = {"kid", "diversity"} if n >= 10 else set()
    expected |= {"precision", "recall", "density", "coverage"} if n >= 24 else set()
    assert computed == expected
    assert all(metric.reason for metric in figures.values() if metric.value is None)
    assert "no training images" in figures["memorisation"].reason


@pytest.mark.parametrize("value", [0, 255])
def test_constant_fakes_and_fakes_equal_to_reals_are_finite(value: int):
    real = patches(60, 0)
    for fake in (torch.full_like(real, value), real):
        figures = evaluate_images(real, fake, train=patches(60, 1), extractor=Projection())
        assert all(metric.reason or np.isfinite(metric.value) for metric in figures.values())


def test_every_figure_carries_its_settings():
    result = evaluate(
        patches(60, 0), patches(50, 1), train=patches(70, 2), extractor=Projection(), split="by slide", seed=4
    )
    assert (result.settings.n_real, result.settings.n_fake) == (60, 50)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    for key in METRICS:
        assert document[key]["n_train"] == 70
        assert document[key]["extractor"] == "projection"
        assert document[key]["sha256"] == "0" * 64
        assert document[key]["split"] == "by slide"
        assert document[key]["interval"] == "95 %"
    assert document["kid"]["value"] == result.metrics["kid"].value


def test_seeded_and_the_global_random_states_are_left_alone():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    arguments = patches(60, 0), patches(60, 1)
    one, same, other = (evaluate_images(*arguments, extractor=Projection(), seed=s) for s in (0, 0, 1))
    assert one == same
    assert one["kid"].low != other["kid"].low
    assert one["kid"].value == other["kid"].value
    assert states[0] == random.getstate()
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert torch.equal(states[2], torch.get_rng_state())


def test_features_that_are_not_finite_become_reasons_and_what_needs_none_still_comes():
    figures = evaluate_images(tissue(60, 0), tissue(60, 1), extractor=Projection(broken=True))
    assert all("not finite" in figures[key].reason for key in set(METRICS) - PIXELS)
    assert figures["stain_eosin"].value is not None


def test_fakes_that_are_the_reals_differ_in_nothing():
    real = tissue(60, 0)
    figures = evaluate_images(real, real, train=tissue(60, 1).images, extractor=Projection())
    for key, expected in (
        ("diversity", 1),
        ("precision", 1),
        ("recall", 1),
        ("coverage", 1),
        *((p, 0) for p in PIXELS),
    ):
        assert figures[key].value == pytest.approx(expected, abs=1e-6), key
    assert figures["kid"].low <= 0


def test_fakes_that_are_all_one_image_have_neither_diversity_nor_recall():
    real = tissue(60, 0)
    one = real.images[:1].repeat(60, 1, 1, 1)
    figures = evaluate_images(real, one, train=tissue(60, 1).images, extractor=Projection())
    assert figures["diversity"].value == pytest.approx(0, abs=1e-6)
    assert figures["recall"].value == 0
    assert figures["stain_eosin"].value > 0.1


@pytest.mark.parametrize(
    ("fake", "error", "words"),
    [
        (patches(9, 1).float(), TypeError, "fake has dtype"),
        (patches(9, 1)[:, :1], ValueError, "RGB"),
        (patches(9, 1)[:0], ValueError, "at least 1"),
        (patches(9, 1, size=16), ValueError, "16x16 px but real images are 8x8"),
    ],
)
def test_what_is_no_set_of_images_is_refused(fake: Tensor, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        evaluate_images(patches(9, 0), fake, extractor=Projection())


@pytest.mark.skipif("GAN_GYM_DATA" not in os.environ, reason="GAN_GYM_DATA names no folder of real patches")
def test_real_blurred_and_collapsed_patches_are_ordered_correctly():
    files = sorted(Path(os.environ["GAN_GYM_DATA"], "pcam_1000").rglob("*.png"))
    order = np.random.default_rng(0).permutation(len(files))[:160]
    images = torch.stack([torch.from_numpy(np.array(Image.open(files[i]))).permute(2, 0, 1) for i in order])
    real, other = images[:80], images[80:]
    blurred = avg_pool2d(other.float(), 5, stride=1, padding=2, count_include_pad=False).to(torch.uint8)
    extractor = load_extractor()
    reference, healthy = embed(extractor, real), embed(extractor, other)
    blur, collapsed = embed(extractor, blurred), healthy[:4].repeat(20, 1)
    figures = {
        name: {
            "kid": kid(reference, f),
            **precision_recall(reference, f),
            **density_coverage(reference, f),
            "diversity": diversity(reference, f),
        }
        for name, f in (("healthy", healthy), ("blur", blur), ("collapsed", collapsed))
    }
    assert figures["healthy"]["kid"].high < figures["blur"]["kid"].low
    assert figures["healthy"]["kid"].high < figures["collapsed"]["kid"].value
    for key in ("precision", "density"):
        assert figures["blur"][key].value < figures["healthy"][key].value
    for key in ("recall", "coverage", "diversity"):
        assert figures["collapsed"][key].high < figures["healthy"][key].low
    train, held_out, unseen = healthy, reference[:40], reference[40:]
    copies = torch.cat([train[:20], unseen[:20]])
    assert memorisation(train, held_out, copies).copies.value == 0.5
    assert (
        memorisation(train, held_out, copies).below_5.low > memorisation(train, held_out, unseen).below_5.high
    )
