"""Classifiers trained on generated patches: what can be learnt decides; what cannot be is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_gym.data.patches import PatchSet
from gan_gym.metrics import downstream
from gan_gym.metrics.downstream import DOWNSTREAM

N = 120


def patches(
    labels: torch.Tensor, classes=("normal", "tumor"), groups: torch.Tensor | None = None
) -> PatchSet:
    n = len(labels)
    images = torch.zeros(n, 3, 8, 8, dtype=torch.uint8)
    return PatchSet(images, labels, torch.arange(n) if groups is None else groups, classes)


def features(labels: torch.Tensor, seed: int, gap: float = 6.0) -> torch.Tensor:
    x = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += gap * labels
    return x


LABELS = torch.arange(N) % 2


def test_faithful_fakes_teach_as_much_as_reals_and_swapped_classes_the_opposite():
    x, y = features(LABELS, 0), features(LABELS, 1)
    figures = downstream(x, y, patches(LABELS), patches(LABELS))
    assert tuple(figures) == DOWNSTREAM
    assert all(figure.value > 0.95 for figure in figures.values())
    swapped = downstream(x, features(1 - LABELS, 1), patches(LABELS), patches(LABELS))
    assert swapped["downstream_synthetic"].value < 0.05
    assert swapped["downstream_real"].value == figures["downstream_real"].value


def test_chance_is_one_over_the_classes_however_uneven_these_are():
    labels = (torch.arange(300) % 10 == 0).long()
    figures = downstream(
        features(labels, 0, gap=0), features(labels, 1, gap=0), patches(labels), patches(labels)
    )
    shown = figures["downstream_synthetic"].to_json()
    assert shown["chance"] == 0.5
    assert shown["low"] < 0.5 < shown["high"]


def test_what_was_trained_and_tested_on_is_recorded():
    figures = downstream(features(LABELS, 0), features(LABELS, 1), patches(LABELS), patches(LABELS))
    counts = {key: (m.details["n_classifier"], m.details["n_test"]) for key, m in figures.items()}
    assert counts == {
        "downstream_synthetic": (N, N // 2),
        "downstream_real": (N // 2, N // 2),
        "downstream_both": (N + N // 2, N // 2),
    }
    assert figures["downstream_real"].details["split_test"] == "at random"


def test_patients_are_not_torn_apart():
    # The features tell the patient, and the patient the class: a split within patients would reach 1.
    groups = torch.arange(N) // 10
    labels = groups % 3 % 2
    x = torch.nn.functional.one_hot(groups).float() * 20
    real = patches(labels, groups=groups)
    figure = downstream(x, x, real, real)["downstream_real"]
    assert figure.details["split_test"] == "by slide or patient"
    assert figure.value == pytest.approx(0.5, abs=0.01)
    torn = downstream(x, x, patches(labels), real)["downstream_real"]
    assert torn.value == pytest.approx(1.0)


def test_interval_is_wider_where_patches_come_from_few_patients():
    rng = torch.Generator().manual_seed(3)
    labels, groups = torch.arange(400) % 2, torch.arange(400) // 40
    wrong = torch.rand(10, generator=rng)[groups] * 4
    x = (
        torch.randn(400, 1, generator=rng) * 0.3
        + labels[:, None] * 2.0
        - wrong[:, None] * (labels[:, None] * 0.9)
    )
    by_patient = downstream(x, x, patches(labels, groups=groups), patches(labels))["downstream_synthetic"]
    alone = downstream(x, x, patches(labels), patches(labels))["downstream_synthetic"]
    assert by_patient.high - by_patient.low > 1.3 * (alone.high - alone.low)


def test_seeded_and_independent_of_the_global_state():
    x, y = features(LABELS, 0, gap=1), features(LABELS, 1, gap=1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, same, other = (downstream(x, y, patches(LABELS), patches(LABELS), seed=s) for s in (0, 0, 1))
    assert one == same
    assert one != other
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (
            patches(LABELS),
            patches(LABELS, ("benign", "tumor")),
            "real: normal tumor; generated: benign tumor",
        ),
        (patches(LABELS), patches(0 * LABELS, ("tumor",)), "real: normal tumor; generated: tumor"),
        (
            patches(0 * LABELS, ("unlabelled",)),
            patches(0 * LABELS, ("unlabelled",)),
            "two or more class folders",
        ),
        (patches(LABELS), patches(0 * LABELS), "class tumor has 0 generated patches"),
        (patches((torch.arange(N) > 100).long()), patches(LABELS), "class tumor has"),
    ],
)
def test_what_cannot_be_classified_gives_one_reason(real: PatchSet, fake: PatchSet, words: str):
    figures = downstream(torch.zeros(N, 5), torch.zeros(N, 5), real, fake)
    assert {figure.value for figure in figures.values()} == {None}
    assert all(words in figure.reason for figure in figures.values())


def test_constant_features_are_at_chance():
    figures = downstream(torch.ones(N, 5), torch.ones(N, 5), patches(LABELS), patches(LABELS))
    assert all(figure.value == pytest.approx(0.5) for figure in figures.values())
