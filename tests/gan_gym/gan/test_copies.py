"""Copies and pickles of a GAN in training go on as it does, and apart from it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch

from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import GANTrainer, TrainerConfig, build_networks
from gan_gym.gan.flat import FlatModule
from gan_gym.gan.population import Population

MakeTrainer = Callable[..., GANTrainer]


def _pickled(trainer: GANTrainer) -> GANTrainer:
    twin: GANTrainer = pickle.loads(pickle.dumps(trainer))  # noqa: S301
    return twin


@pytest.fixture(params=["mlp", "light"])
def trainer(request: pytest.FixtureRequest, make_trainer: MakeTrainer) -> GANTrainer:
    if request.param == "mlp":
        return make_trainer(r1_gamma=0.1)
    pixels = torch.randint(256, (9, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    networks = build_networks("light", (3, 8, 8), 0)
    return GANTrainer(*networks, PatchSampler(pixels), TrainerConfig(batch_size=4))


def _equal(one: GANTrainer, other: GANTrainer) -> bool:
    (left, left_values), (right, right_values) = one.state(), other.state()
    return left_values == right_values and all(torch.equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("copied", [copy.deepcopy, _pickled])
def test_a_copy_trains_as_its_original_and_apart_from_it(
    trainer: GANTrainer, copied: Callable[[GANTrainer], GANTrainer]
) -> None:
    trainer.train(2)
    twin, kept = copied(trainer), copied(trainer)
    assert twin.train(3) == trainer.train(3)
    assert _equal(twin, trainer)
    assert not _equal(kept, trainer)
    z = torch.randn(4, trainer.z_dim, generator=torch.Generator().manual_seed(0))
    assert torch.equal(twin.sample(z), trainer.sample(z))
    trainer.train(1)
    assert kept.train(3) == twin.statistics
    assert _equal(kept, twin)


def test_a_network_copied_with_its_trainer_stays_the_one_that_is_trained(trainer: GANTrainer) -> None:
    module, twin = copy.deepcopy((trainer.d.module, trainer))
    assert module is twin.d.module
    before = [parameter.detach().clone() for parameter in module.parameters()]
    twin.train(1)
    assert not any(torch.equal(x, old) for x, old in zip(module.parameters(), before, strict=True))


def test_stacked_networks_are_copied_too(trainer: GANTrainer) -> None:
    stack = FlatModule.stacked([trainer.g, trainer.g])
    twin = copy.deepcopy(stack)
    twin.vector.data.zero_()
    assert not any(bool(parameter.any()) for parameter in twin.parameters)
    assert all(bool(parameter.any()) for parameter in stack.parameters[:1])


def test_a_population_says_what_to_copy_instead(make_trainer: MakeTrainer) -> None:
    with pytest.raises(TypeError, match="copy its members"):
        copy.deepcopy(Population([make_trainer()]))
