from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.gan import GANTrainer, Settings, Spread, build_networks
from gan_gym.gan.trainer import N_MEASURED
from gan_gym.randomness import generator


def _samples(scale: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    return offset + scale * torch.randn(300, 3, 4, generator=generator(0, "samples"))


@given(st.lists(st.integers(1, 299), max_size=5), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_batches_add_up_to_the_whole(cuts: list[int], scale: float, offset: float) -> None:
    samples = _samples(scale, offset)
    spread = Spread()
    for batch in torch.tensor_split(samples, sorted(cuts)):
        spread.add(batch)
    variances = samples.double().flatten(1).var(0)
    assert spread.std == pytest.approx(float(variances.mean().sqrt()), rel=1e-3)


def test_each_coordinate_has_its_own_mean() -> None:
    spread = Spread()
    spread.add(_samples() + 100 * torch.arange(12.0).view(3, 4))
    assert spread.std == pytest.approx(1, rel=0.05)


def test_too_few_samples_have_none_and_state_continues() -> None:
    first, second = Spread(), Spread()
    first.add(_samples()[:1])
    assert first.std == Spread().std == 0
    second.load_state(first.state())
    for spread in (first, second):
        spread.add(_samples()[1:])
    assert first.std == second.std > 0


def test_a_trainers_unit_is_that_of_its_data_whatever_the_seed() -> None:
    units = {
        seed: GANTrainer(*build_networks("mlp", (2,), seed), MixtureSampler.grid(), seed=seed).data_std
        for seed in (0, 1)
    }
    assert units[0] == units[1] == pytest.approx(math.sqrt(2), rel=4 / math.sqrt(N_MEASURED))


@pytest.mark.parametrize("spacing", [0.5, 4.0])
def test_noise_grows_with_the_data(spacing: float) -> None:
    trainer = GANTrainer(
        *build_networks("mlp", (2,), 0),
        MixtureSampler.grid(spacing, 0.05),
        settings=Settings(instance_noise=0.5),
    )
    assert trainer.noise_std == pytest.approx(0.5 * math.sqrt(2) * spacing, rel=0.1)
    trainer.settings = Settings()
    assert trainer.noise_std == 0
