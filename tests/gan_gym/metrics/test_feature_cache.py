"""Kept features are those of these images by this network, or they are made again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gan_gym.metrics import cache_folder, feature_cache
from gan_gym.metrics.extractors import FrozenExtractor
from gan_gym.metrics.feature_cache import embed_real


class Small(nn.Module):
    fixed_size = (8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.mean((2, 3))


def extractor(sha256: str = "a" * 64, name: str = "small") -> FrozenExtractor:
    return FrozenExtractor(Small(), name, sha256, torch.device("cpu"))


def images(seed: int = 0, n: int = 5) -> Tensor:
    return torch.randint(
        0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def calls(network: FrozenExtractor) -> int:
    return network._backbone.calls


def test_the_second_time_nothing_is_computed_and_the_features_are_equal(tmp_path: Path):
    first, second = extractor(), extractor()
    expected = embed_real(first, images(), tmp_path / "new")
    assert torch.equal(embed_real(second, images(), tmp_path / "new"), expected)
    assert (calls(first), calls(second)) == (1, 0)


@pytest.mark.parametrize(
    ("network", "other"),
    [
        (extractor("b" * 64), images()),
        (extractor(name="other"), images()),
        (extractor(), images(1)),
        (extractor(), images()[:4]),
        (extractor(), images().transpose(2, 3)),
        (extractor(), images().flip(0)),
    ],
)
def test_other_images_or_another_network_are_computed(
    tmp_path: Path, network: FrozenExtractor, other: Tensor
):
    embed_real(extractor(), images(), tmp_path)
    fresh = embed_real(network, other, None)
    n = calls(network)
    assert torch.equal(embed_real(network, other, tmp_path), fresh)
    assert calls(network) == n + 1


def damage_bytes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def put(features: Tensor) -> object:
    return lambda file: save_file(load_file(file) | {"features": features}, file)


@pytest.mark.parametrize(
    "damage",
    [
        damage_bytes,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-3]),
        lambda file: save_file({"other": torch.zeros(2)}, file),
        put(torch.full((5, 3), float("nan"))),
        put(torch.zeros(4, 3)),
        put(torch.zeros(5, 3)),
    ],
)
def test_damaged_features_are_made_again(tmp_path: Path, damage):
    expected = embed_real(extractor(), images(), tmp_path)
    (file,) = tmp_path.iterdir()
    damage(file)
    again = extractor()
    assert torch.equal(embed_real(again, images(), tmp_path), expected)
    assert calls(again) == 1
    assert torch.equal(embed_real(again, images(), tmp_path), expected)
    assert calls(again) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert embed_real(extractor(), images(), tmp_path / "file" / "below").shape == (5, 3)


def test_the_folder_is_bounded_and_what_was_used_last_stays(tmp_path: Path, monkeypatch):
    embed_real(extractor(), images(0), tmp_path)
    (first,) = tmp_path.iterdir()
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 2 * first.stat().st_size)
    for age, seed in ((200, 1), (100, 2)):
        os.utime(first, (0, 0)) if seed == 1 else None
        embed_real(extractor(), images(seed), tmp_path)
        for file in tmp_path.iterdir():
            if file != first and file.stat().st_mtime > 1e9:
                os.utime(file, (1e9 - age, 1e9 - age))
        embed_real(extractor(), images(0), tmp_path)
    assert first in set(tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_only_frozen_networks_are_trusted_by_their_digest(tmp_path: Path):
    class Mine:
        name, sha256 = "mine", "0" * 64

        def __call__(self, images: Tensor) -> Tensor:
            return images.mean((2, 3))

    embed_real(Mine(), images(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_lies_where_caches_belong(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "gan-gym" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "gan-gym" / "features"
