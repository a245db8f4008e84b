from __future__ import annotations

import logging

import pytest
import torch

from agents.splitting import describe_split, more_to_train_on, split_held_out
from gan_gym.data.patches import PatchSet


def patches(groups: list[int]) -> PatchSet:
    n = len(groups)
    images = torch.zeros(n, 3, 8, 8, dtype=torch.uint8)
    return PatchSet(images, torch.zeros(n, dtype=torch.int64), torch.tensor(groups), ("a",))


def test_a_split_is_called_what_it_was() -> None:
    by_patient, at_random = patches([0, 0, 1, 1, 2, 2]), patches([0, 1, 2, 3, 4, 5])
    assert describe_split(*split_held_out(by_patient, 0.3, 0)) == "held out by slide or patient"
    assert describe_split(*split_held_out(at_random, 0.3, 0)) == "held out at random"
    one = split_held_out(patches([7] * 6), 0.3, 0)
    assert describe_split(*one) == "held out at random within one slide or patient"


@pytest.mark.parametrize(
    ("groups", "fraction", "said"),
    [
        ([0] * 60 + [1] * 40, 0.2, "40 of 100 patches (40 %) are held out, not 20 %: slides or patients"),
        ([0] * 96 + [1] * 4, 0.2, "4 of 100 patches (4 %) are held out, not 20 %: slides or patients"),
        ([0] * 90 + [1] * 10, 0.2, None),
        (list(range(100)), 0.2, None),
        ([7] * 100, 0.2, "all patches come from one slide or patient"),
    ],
)
def test_a_share_far_from_what_was_asked_is_said_once(groups, fraction, said, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        split_held_out(patches(groups), fraction, 0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == (said is not None)
    assert all(message.startswith(said) for message in messages)


@pytest.mark.parametrize(
    "groups", [[0] * 5 + [1] * 5, [0] * 4 + [1] * 6, [0] * 9 + [1], [3] * 9, list(range(9))]
)
def test_the_remedy_for_too_few_patches_to_train_on_works(groups) -> None:
    remedy, data = more_to_train_on(patches(groups), 8), patches(groups)
    works = len(split_held_out(data, 1e-3, 0)[0]) >= 8
    assert ("lower --held_out" in remedy) == works
    assert "give more patches" in remedy
