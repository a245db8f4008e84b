from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import NETWORKS, GANTrainer, Settings, TrainerConfig, family
from gan_gym.gan.population import Population, can_batch
from gan_gym.gan.statistics import Statistics

MakeTrainer = Callable[..., GANTrainer]

PATCHES = torch.randint(256, (16, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

MEMBERS: list[dict[str, Any]] = [
    {"loss": "non_saturating"},
    {"loss": "hinge", "beta1": 0.0, "g_lr": 1e-3},
    {"loss": "least_squares", "instance_noise": 0.3, "d_steps": 3.0},
    {"loss": "relativistic", "r1_gamma": 1.0, "augment_p": 0.5, "beta1": 0.9},
    {"loss": "non_saturating", "r1_gamma": 0.5, "penalty_every": 2, "instance_noise": 0.1},
    {"loss": "hinge", "g_update_ratio": 1e-3, "d_update_ratio": 3e-3, "d_steps": 2.0},
    {"loss": "wgan_gp", "r1_gamma": 0.2, "augment_p": 0.5},
]


def train_together(members: list[GANTrainer], n_steps: int) -> list[Statistics]:
    return Population(members).train(members, n_steps)


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


@pytest.mark.parametrize("networks", NETWORKS)
def test_population_equals_its_members_alone_for_every_family(
    double_pair: Callable[..., tuple[nn.Module, nn.Module]], networks: str
) -> None:
    """Batch statistics, real and generated patches scored apart, and the average's buffers included."""
    points = family(networks) == "points"
    source = MixtureSampler.grid() if points else PatchSampler(PATCHES)
    batch_size = 16 if points else 4  # batch statistics of 4 points blow rounding errors up
    settings = [
        Settings(g_lr=1e-3, augment_p=0.5, r1_gamma=0.1),
        Settings(instance_noise=0.2, d_steps=2.0, reward_weight=0.5),
    ]
    losses = ["relativistic", "wgan_gp"]
    together, alone = (
        [
            GANTrainer(
                *double_pair(networks, source.shape, seed),
                source,
                TrainerConfig(loss=loss, batch_size=batch_size),
                own,
                seed=seed,
                similarity=_similarity,
            )
            for seed, (own, loss) in enumerate(zip(settings, losses, strict=True))
        ]
        for _ in range(2)
    )
    train_together(together, 5)
    for trainer in alone:
        trainer.train(5)
    _assert_equal(together, alone)
    z = torch.randn(2, 5, together[0].z_dim, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([trainer.sample(own) for trainer, own in zip(together, z, strict=True)])
    torch.testing.assert_close(Population(together).sample(z), expected, rtol=1e-4, atol=1e-4)


def _similarity(x: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(x.flatten(1).sum(1))


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


class _PlainDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(x)
        return scores.squeeze(1)


class _Shaped(nn.Module):
    """A discriminator whose logits have more axes than one a sample."""

    def __init__(self, module: nn.Module, axes: tuple[int, ...], joint: bool) -> None:
        super().__init__()
        self.module, self.axes, self.joint, self.stackable = module, axes, joint, True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.module(x)
        return scores.view(*scores.shape, *self.axes)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("axes", [(1,), (1, 1, 1)])
@pytest.mark.parametrize("n", [1, 2])
def test_logits_that_are_not_one_a_sample_are_refused(
    make_trainer: MakeTrainer, n: int, axes: tuple[int, ...], joint: bool
) -> None:
    members = [make_trainer(seed=seed) for seed in range(n)]
    for trainer in members:
        trainer.d.module = _Shaped(trainer.d.module, axes, joint)
    lead, n_rows = ([n] if n > 1 else []), 16 if joint else 8
    shape = re.escape(", ".join(str(side) for side in [*lead, n_rows, *axes]))
    with pytest.raises(ValueError, match=rf"logits of shape \({shape},?\).* one logit a sample.*flatten"):
        train_together(members, 1)


@pytest.mark.parametrize("loss", ["hinge", "relativistic", "wgan_gp"])
def test_the_remedy_for_logits_of_many_axes_is_right(make_trainer: MakeTrainer, loss: str) -> None:
    class Remedied(_Shaped):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).flatten(1).mean(1)

    plain, remedied = (make_trainer(loss, r1_gamma=0.1) for _ in range(2))
    remedied.d.module = Remedied(remedied.d.module, (1, 1, 1), joint=True)
    assert remedied.train(5) == plain.train(5)


def _refused(make: MakeTrainer) -> dict[str, list[GANTrainer]]:
    elsewhere = make()
    elsewhere.source = MixtureSampler.grid()
    plain = [make() for _ in range(2)]
    for trainer in plain:
        trainer.d.module = _PlainDiscriminator()
    exact = make()
    exact.config = replace(exact.config, precision="bfloat16")
    return {
        "layers that take no stacked weights": plain,
        "other data": [make(), elsewhere],
        "other batch size": [make(), make(batch_size=4)],
        "other similarity": [make(), make(similarity=_similarity)],
        "other precision": [make(), exact],
    }


def test_refuses_what_cannot_be_batched(make_trainer: MakeTrainer) -> None:
    for name, trainers in _refused(make_trainer).items():
        assert not can_batch(trainers), name
        with pytest.raises(ValueError, match="cannot be trained together"):
            train_together(trainers, 1)
    assert can_batch([make_trainer(seed=0), make_trainer(seed=1)])
    with pytest.raises(ValueError, match="n_steps is 0"):
        train_together([make_trainer()], 0)


def test_a_population_serves_other_members_than_it_was_made_for(make_trainer: MakeTrainer) -> None:
    first, second, alone = ([make_trainer(seed=seed) for seed in seeds] for seeds in ((0, 1), (2, 3), (2, 3)))
    population = Population(first)
    population.train(first, 2)
    before = first[0].g.vector.detach().clone()
    population.train(second, 2)
    for trainer in alone:
        trainer.train(2)
    _assert_equal(second, alone)
    assert torch.equal(first[0].g.vector.detach(), before)
