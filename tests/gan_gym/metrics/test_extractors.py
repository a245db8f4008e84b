"""The default extractor is frozen, documented, and never the reward's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate

from gan_gym.metrics import embed, load_extractor
from gan_gym.metrics.extractors import INPUT_SIZE, FrozenExtractor
from snn.backbones import create_backbone


@pytest.fixture(scope="module")
def extractor() -> FrozenExtractor:
    return load_extractor()


def patches(n: int, seed: int = 0, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)


def test_default_is_lite2_with_the_published_weights(extractor: FrozenExtractor):
    assert extractor.name == "tf_efficientnet_lite2"
    assert extractor.sha256 == "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    assert str(INPUT_SIZE) in extractor.resize
    features = embed(extractor, patches(3))
    assert features.shape == (3, 1280)
    assert features.dtype == torch.float32
    assert not features.requires_grad


def test_features_do_not_depend_on_the_neighbours_in_the_batch(extractor: FrozenExtractor):
    images = patches(66)[torch.arange(66) % 5]
    together = embed(extractor, images)
    assert torch.allclose(together[:5], embed(extractor, images[:5]), atol=1e-4)
    assert torch.allclose(together[65], together[0], atol=1e-4)


def test_images_are_resized_with_antialiasing(extractor: FrozenExtractor):
    images = patches(2, size=256).float() / 127.5 - 1
    resized = interpolate(
        images, (INPUT_SIZE, INPUT_SIZE), mode="bicubic", align_corners=False, antialias=True
    )
    assert torch.allclose(extractor(images), extractor(resized.clamp(-1, 1)), atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "efficientnet-lite0",
        "some/folder/lite0.safetensors",
        "tf_efficientnet_lite0=x.safetensors",
    ],
)
def test_the_rewards_own_network_is_refused(name: str):
    with pytest.raises(ValueError, match="reward's own backbone"):
        load_extractor(name)


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(ValueError, match="did you mean 'tf_efficientnet_lite2'") as caught:
        load_extractor("tf_efficientnet_lite22")
    assert "NAME=FILE.safetensors" in str(caught.value)


def test_other_weights_come_from_a_file_and_change_the_digest(tmp_path: Path, extractor: FrozenExtractor):
    network = create_backbone("tf_efficientnet_lite2", pretrained=False, seed=3).network
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    mine = load_extractor(str(tmp_path / "mine.safetensors"))
    assert mine.sha256 != extractor.sha256
    assert not torch.allclose(embed(mine, patches(2)), embed(extractor, patches(2)))
    with pytest.raises(ValueError, match="no file"):
        load_extractor(str(tmp_path / "nope.safetensors"))


def test_any_architecture_takes_its_weights_from_a_file(tmp_path: Path):
    network = create_backbone("resnet10t", pretrained=False, seed=3).network
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    mine = load_extractor(f"resnet10t={tmp_path / 'mine.safetensors'}")
    assert mine.name == "resnet10t (mine.safetensors)"
    assert mine.sha256 == hashlib.sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()
    assert embed(mine, patches(2)).shape == (2, 512)
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_extractor(f"resnet18={tmp_path / 'mine.safetensors'}")
    assert "NAME=FILE.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_of_a_fixed_input_size_gets_that_size(tmp_path: Path):
    network = create_backbone("test_vit", pretrained=False).network
    save_file(network.state_dict(), tmp_path / "mine.safetensors")
    mine = load_extractor(f"test_vit={tmp_path / 'mine.safetensors'}")
    assert mine.resize == "bicubic, antialiased, 160 x 160 px"
    assert len(embed(mine, patches(2))) == 2


def test_loading_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    embed(load_extractor(), patches(1))
    assert torch.equal(before, torch.get_rng_state())
