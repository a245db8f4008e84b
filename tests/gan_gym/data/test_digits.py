from __future__ import annotations

import pytest
import torch

from gan_gym.data.digits import N_MODES, load_digit_classifier, single_digits, stacked_digits
from snn import to_float


def test_halves_share_no_digit() -> None:
    train, heldout = (
        {tuple(image.flatten().tolist()) for image in single_digits(split)[0]}
        for split in ("train", "heldout")
    )
    assert len(train & heldout) == 0
    assert len(train) + len(heldout) == 1797
    with pytest.raises(ValueError, match="split='test'; allowed are"):
        single_digits("test")  # type: ignore[arg-type]


def test_stacks_are_digits_named_by_their_label() -> None:
    patches = stacked_digits(50, seed=3)
    images, values = single_digits("train")
    assert patches.images.shape == (50, 3, 8, 8)
    assert patches.images.dtype == torch.uint8
    assert len(patches.classes) == N_MODES
    assert patches.classes[7] == "007"
    for stack, label in zip(patches.images, patches.labels.tolist(), strict=True):
        for channel, digit in zip(stack, f"{label:03d}", strict=True):
            match = (images == channel).all(dim=2).all(dim=1)
            assert bool((values[match] == int(digit)).any())


def test_draws_follow_the_seed_and_leave_the_global_state() -> None:
    state = torch.get_rng_state()
    assert torch.equal(stacked_digits(20, 1).images, stacked_digits(20, 1).images)
    assert not torch.equal(stacked_digits(20, 1).images, stacked_digits(20, 2).images)
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(ValueError, match="n=0"):
        stacked_digits(0, 1)


def test_classifier_reads_digits_it_was_not_fitted_on() -> None:
    classifier = load_digit_classifier()
    images, values = single_digits("train")
    accuracy = (classifier(to_float(images)[:, None]).argmax(dim=1) == values).float().mean()
    assert accuracy >= 0.97
    stacks = stacked_digits(500, 0)
    mode, sure = classifier.classify(to_float(stacks.images))
    assert (mode == stacks.labels).float().mean() > 0.97
    assert bool(((sure > 0) & (sure <= 1)).all())


def test_modes_are_counted() -> None:
    classifier = load_digit_classifier()
    stacks = stacked_digits(1500, 0)
    x = to_float(stacks.images)
    ((modes, modes20, quality),) = classifier.count_modes(x[None])
    assert modes > 700
    assert modes20 == 0
    assert quality > 0.85
    one = x[:1].repeat(25, 1, 1, 1)
    assert classifier.count_modes(one[None])[0][:2] == (1, 1)
    noise = torch.rand(500, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert classifier.count_modes(noise[None])[0][2] < 0.2
    sets = torch.stack([x[:500], noise, x[500:1000]])
    alone = [classifier.count_modes(one[None])[0] for one in sets]
    assert classifier.count_modes(sets) == alone
    assert len(set(alone)) == 3
