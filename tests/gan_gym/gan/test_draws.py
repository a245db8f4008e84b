from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.gan.draws import CHUNK, LARGE, Draws, Tape, take

MakeTrainer = Callable[..., GANTrainer]
LIVE = {"instance_noise": 0.1, "augment_p": 0.5}


def _patches(size: int, seed: int = 0) -> GANTrainer:
    pixels = torch.zeros(20, 3, size, size, dtype=torch.uint8)
    networks = build_networks("light", (3, size, size), 0)
    config = TrainerConfig(batch_size=4)
    return GANTrainer(*networks, PatchSampler(pixels), config, Settings(**LIVE), seed=seed)


def _tape(trainer: GANTrainer, side: str, n_updates: int, step: int, n_steps: int) -> Tape:
    trainer.n_images = step * trainer.config.batch_size
    return Tape([trainer], side, [n_updates], n_steps, trainer.device)


def _all(tape: Tape, n_steps: int, n_updates: int) -> list[Draws]:
    return [tape(step, update) for step in range(n_steps) for update in range(n_updates)]


@pytest.mark.parametrize("side", ["g", "d"])
@pytest.mark.parametrize("kind", ["points", "small patches", "large patches"])
def test_blocks_of_any_length_draw_the_same(make_trainer: MakeTrainer, kind: str, side: str) -> None:
    """Beyond the end of a chunk too; large noise is drawn step by step."""
    sizes = {"small patches": 8, "large patches": 64}
    trainer = make_trainer("wgan_gp", **LIVE) if kind == "points" else _patches(sizes[kind])
    n_steps, n_updates = CHUNK + 3, 2 if side == "d" else 1
    whole = _all(_tape(trainer, side, n_updates, 0, n_steps), n_steps, n_updates)
    cut = [
        draws
        for start, stop in ((0, 1), (1, CHUNK - 1), (CHUNK - 1, n_steps))
        for draws in _all(_tape(trainer, side, n_updates, start, stop - start), stop - start, n_updates)
    ]
    for left, right in zip(whole, cut, strict=True):
        assert set(left) == set(right)
        assert {"z", "chosen", "noise"} <= set(left)
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_no_two_updates_draw_the_same(make_trainer: MakeTrainer) -> None:
    draws = [
        row["z"]
        for seed in (0, 1)
        for side, n in (("d", 2), ("g", 1))
        for row in _all(_tape(make_trainer(seed=seed), side, n, 0, 2 * CHUNK), 2 * CHUNK, n)
    ]
    assert len({tuple(z.flatten().tolist()) for z in draws}) == len(draws)


def test_turning_a_kind_on_leaves_the_others_as_they_were(make_trainer: MakeTrainer) -> None:
    plain, live = (_tape(make_trainer(**settings), "d", 1, 0, 3)(2) for settings in ({}, LIVE))
    assert set(live) - set(plain) == {"chosen", "turns", "noise"}
    assert all(torch.equal(plain[name], live[name]) for name in plain)


def test_more_updates_leave_the_draws_of_the_first_as_they_were(make_trainer: MakeTrainer) -> None:
    one, two = (_tape(make_trainer(**LIVE), "d", n, 7, 3)(1, 0) for n in (1, 2))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_members_draw_what_they_draw_alone_and_gaps_change_nothing(make_trainer: MakeTrainer) -> None:
    members = [
        make_trainer(seed=1),
        make_trainer("relativistic", seed=2, **LIVE),
        make_trainer(seed=3, instance_noise=0.2),
    ]
    members[1].n_images = 8 * 7
    n_updates = [1, 2, 1]
    device = members[0].device
    together = Tape(members, "g", [1, 1, 1], 3, device)(1)
    assert together["noise"].shape == (3, 16, 2)
    assert not together["noise"][0].any()
    assert bool((together["chosen"][[0, 2]] == 1).all())
    for i, (trainer, n_seen) in enumerate(zip(members, (8, 16, 8), strict=True)):
        for name, own in Tape([trainer], "g", [1], 3, device)(1).items():
            row = together[name][i]
            assert torch.equal(row[-n_seen:] if name == "noise" else row, own), name
    together = Tape(members, "d", n_updates, 3, device)(2, 1)
    alone = Tape(members[1:2], "d", [2], 3, device)(2, 1)
    assert all(torch.equal(together[name][1], alone[name]) for name in alone)


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_large_for_one_member_alone_reaches_all(make_trainer: MakeTrainer, order: int) -> None:
    """A chunk of noise on 3,000 points is, for a relativistic GAN: D sees real points in G's updates too."""
    kinds = (("least_squares", 0), ("relativistic", 1))[::order]
    members = [make_trainer(loss, seed, batch_size=3000, instance_noise=0.1) for loss, seed in kinds]
    members[0].n_images = 3000 * (CHUNK - 1)  # over the end of a chunk
    large = [CHUNK * (2 if t.loss.relativistic else 1) * 3000 * 2 > LARGE for t in members]
    assert sorted(large) == [False, True]
    together = Tape(members, "g", [1, 1], 3, members[0].device)
    for i, trainer in enumerate(members):
        alone = Tape([trainer], "g", [1], 3, trainer.device)
        for step in (1, 2):
            own = alone(step)["noise"]
            assert bool(own.any(1).all())
            assert torch.equal(together(step)["noise"][i][-len(own) :], own)


def test_a_source_needs_only_batches(make_trainer: MakeTrainer) -> None:
    class Batches:
        shape: tuple[int, ...] = (2,)

        def batch(self, n: int, rng: torch.Generator) -> Tensor:
            return torch.rand(n, 2, generator=rng)

    like = make_trainer()
    trainer = GANTrainer(like.g.module, like.d.module, Batches(), like.config, seed=0)
    batches = [take(trainer.drawn, _tape(trainer, "d", 1, 0, 5)(step)) for step in range(5)]
    assert all(batch.shape == (8, 2) for batch in batches)
    assert len({float(batch.sum()) for batch in batches}) == 5
    trainer.train(2)
