from __future__ import annotations

import pytest
import torch

from gan_gym.data.sampler import PatchSampler, to_float, to_uint8


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(256, (5, 3, 8, 16), generator=_rng(), dtype=torch.uint8)


def test_levels_survive_the_way_to_floats_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    floats = to_float(levels)
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(to_uint8(floats), levels)
    assert to_uint8(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


def test_batches_are_patches_and_their_mirror_images(images: torch.Tensor) -> None:
    batch = to_uint8(PatchSampler(images).batch(400, _rng()))
    plain = (batch.unsqueeze(1) == images).flatten(2).all(2)
    mirrored = (batch.unsqueeze(1) == images.flip(3)).flatten(2).all(2)
    assert bool((plain | mirrored).any(1).all())
    assert float(mirrored.any(1).float().mean()) == pytest.approx(0.5, abs=0.1)
    assert (plain | mirrored).float().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.08)
    unmirrored = to_uint8(PatchSampler(images, mirror=False).batch(50, _rng()))
    assert bool((unmirrored.unsqueeze(1) == images).flatten(2).all(2).any(1).all())


def test_batches_are_functions_of_the_generator(images: torch.Tensor) -> None:
    sampler = PatchSampler(images)
    assert sampler.shape == (3, 8, 16)
    assert torch.equal(sampler.batch(8, _rng(1)), sampler.batch(8, _rng(1)))
    assert not torch.equal(sampler.batch(8, _rng(1)), sampler.batch(8, _rng(2)))


@pytest.mark.parametrize(
    "wrong", [torch.zeros(2, 3, 8, 8), torch.zeros(0, 3, 8, 8).byte(), torch.zeros(8).byte()]
)
def test_refuses_what_is_no_set_of_patches(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="give uint8"):
        PatchSampler(wrong)
