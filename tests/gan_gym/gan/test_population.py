from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.gan.population import can_batch, train_together
from gan_gym.gan.residual import ResidualDiscriminator, ResidualGenerator

MakeTrainer = Callable[..., GANTrainer]

PATCHES = torch.randint(256, (16, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

MEMBERS: list[dict[str, Any]] = [
    {"loss": "non_saturating"},
    {"loss": "hinge", "beta1": 0.0, "g_lr": 1e-3},
    {"loss": "least_squares", "instance_noise": 0.3, "d_steps": 3.0},
    {"loss": "relativistic", "r1_gamma": 1.0, "augment_p": 0.5, "beta1": 0.9},
    {"loss": "non_saturating", "r1_gamma": 0.5, "penalty_every": 2, "instance_noise": 0.1},
    {"loss": "hinge", "g_update_ratio": 1e-3, "d_update_ratio": 3e-3, "d_steps": 2.0},
]


def _assert_equal(together: list[GANTrainer], alone: list[GANTrainer]) -> None:
    for batched, single in zip(together, alone, strict=True):
        (left, left_values), (right, right_values) = batched.state(), single.state()
        for name in right:
            torch.testing.assert_close(left[name], right[name], rtol=2e-3, atol=2e-4)
        assert left_values["n_images"] == right_values["n_images"]
        assert left_values["gains"] == pytest.approx(right_values["gains"], rel=1e-2)
        assert left_values["statistics"] == pytest.approx(right_values["statistics"], rel=2e-2, abs=2e-3)


@pytest.mark.parametrize("members", [MEMBERS, MEMBERS[:3], MEMBERS[:1] * 3], ids=["all", "some", "equal"])
def test_population_equals_its_members_alone(make_trainer: MakeTrainer, members: list[Any]) -> None:
    together, alone = (
        [make_trainer(seed=seed, **member) for seed, member in enumerate(members)] for _ in range(2)
    )
    together[0].train(1)  # members need not be of one age
    alone[0].train(1)
    for n_steps in (6, 1):
        summaries = train_together(together, n_steps)
        assert summaries == [trainer.statistics for trainer in together]
        for trainer in alone:
            trainer.train(n_steps)
    _assert_equal(together, alone)


def test_population_of_convolutional_gans(make_trainer: MakeTrainer) -> None:
    source = PatchSampler(PATCHES)
    pairs = [[], []]
    for trainers in pairs:
        for seed in range(2):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                pair = ResidualGenerator((3, 8, 8), 4, width=8), ResidualDiscriminator((3, 8, 8), width=8)
            config, settings = TrainerConfig(batch_size=4), Settings(augment_p=0.5, r1_gamma=0.1 * seed)
            trainers.append(GANTrainer(*pair, source, config, settings, seed=seed))
    together, alone = pairs
    train_together(together, 3)
    for trainer in alone:
        trainer.train(3)
    _assert_equal(together, alone)


def test_a_diverged_member_leaves_the_others_alone(make_trainer: MakeTrainer) -> None:
    together, alone = ([make_trainer(seed=seed, r1_gamma=1.0) for seed in range(3)] for _ in range(2))
    together[1].d.vector.data.fill_(torch.inf)
    train_together(together, 2)
    assert together[1].statistics.diverged
    for trainer in alone:
        trainer.train(2)
    _assert_equal(together[::2], alone[::2])


def test_population_can_be_left_between_blocks(make_trainer: MakeTrainer) -> None:
    trainers = [make_trainer(seed=seed) for seed in range(3)]
    alone = make_trainer(seed=1)
    train_together(trainers, 2)
    trainers[1].train(2)
    train_together(trainers[1:], 2)
    alone.train(2), alone.train(2), alone.train(2)
    _assert_equal(trainers[1:2], [alone])


class _NormalisedDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(x)
        return scores.squeeze(1)


def _refused(make: MakeTrainer) -> dict[str, list[GANTrainer]]:
    light = [GANTrainer(*build_networks("light", (3, 8, 8), 0), PatchSampler(PATCHES)) for _ in range(2)]
    light[1].source = light[0].source
    elsewhere = make()
    elsewhere.source = MixtureSampler.grid()
    normalised = [make() for _ in range(2)]
    for trainer in normalised:
        trainer.d.module = _NormalisedDiscriminator()
    return {
        "batch normalisation in G": light,
        "batch normalisation in D": normalised,
        "other data": [make(), elsewhere],
        "other batch size": [make(), make(batch_size=4)],
        "interpolates": [make(), make("wgan_gp")],
        "similarity": [make(), make(reward_weight=0.5, similarity=lambda x: x.new_ones(len(x)))],
    }


def test_refuses_what_cannot_be_batched(make_trainer: MakeTrainer) -> None:
    for name, trainers in _refused(make_trainer).items():
        assert not can_batch(trainers), name
        with pytest.raises(ValueError, match="cannot be trained together"):
            train_together(trainers, 1)
    assert can_batch([make_trainer(seed=0), make_trainer(seed=1)])
    with pytest.raises(ValueError, match="n_steps is 0"):
        train_together([make_trainer()], 0)
