from __future__ import annotations

import torch

from agents.splitting import describe_split, split_held_out
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
