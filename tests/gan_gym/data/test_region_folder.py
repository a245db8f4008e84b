"""Folders of large regions, from which patches are cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_gym.data import reading
from gan_gym.data.loading import DataError, load_patches
from gan_gym.data.regions import cut_patches
from gan_gym.data.report import Loaded

Maker = Callable[..., list[Path]]


def load(source: Path, size: int, **settings: object) -> Loaded:
    return load_patches(source, size, **{"min_patches": 1, **settings})  # type: ignore[arg-type]


def region(seed: int, size: tuple[int, int] = (512, 640), tissue: float = 1.0) -> Image.Image:
    rng = np.random.default_rng(seed)
    colours = np.full((*size, 3), 255, np.uint8)
    width = int(size[1] * tissue)
    colours[:, :width] = rng.integers(100, 130, (size[0], width, 3)) + np.array([90, 0, 60])
    return Image.fromarray(colours)


def test_patches_are_cut_from_regions(tmp_path: Path, make_patches: Maker) -> None:
    for kind in ("necrotic", "viable"):
        (tmp_path / kind).mkdir()
    region(0).save(tmp_path / "necrotic/Case-3-A1-1-1_1.png")
    region(1, tissue=0.5).save(tmp_path / "necrotic/Case-3-A1-1-2_2.png")
    region(2, size=(640, 512)).save(tmp_path / "viable/whole.png")
    region(3, tissue=0).save(tmp_path / "viable/glass.png")
    make_patches("viable", n=1)
    loaded = load(tmp_path, size=128)
    patches, report = loaded.patches, loaded.report
    # 20 patches each from the two full regions; the half region fills columns 0 and 1 of five, and half of 2
    assert (report.kind, report.n_used, report.n_patches, report.n_groups) == ("regions", 3, 48, 2)
    assert report.classes == {"necrotic": 28, "viable": 20}
    assert report.sizes == {"512x640": 2, "640x512": 1}
    assert dict(report.unusable)["viable/glass.png"] == "no tissue: background only"
    assert "too small for a region" in dict(report.unusable)["viable/RGB24_000.png"]
    assert patches.labels.tolist() == [0] * 28 + [1] * 20
    assert patches.groups.tolist() == [0] * 28 + [1] * 20
    assert patches.regions is not None
    assert patches.regions.shape == (3, 3, 128, 128)
    assert patches.region_labels is not None
    assert patches.region_labels.tolist() == [0, 0, 1]
    assert patches.region_groups is not None
    assert patches.region_groups.tolist() == [0, 0, 1]
    first = np.asarray(Image.open(tmp_path / "necrotic/Case-3-A1-1-1_1.png"))[:128, 128:256]
    np.testing.assert_array_equal(patches.images[1].numpy(), first.transpose(2, 0, 1))
    drawn = [load(tmp_path, size=128, max_patches=10, seed=seed).patches.images for seed in (0, 0, 1)]
    assert len(drawn[0]) == 10
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert load(tmp_path, size=256, on_bad_image="convert").report.kind == "patches"


def test_more_patches_of_regions_than_memory_are_refused_before_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):  # 20 patches of 128 px each
        region(i).save(tmp_path / f"{i}.png")
    monkeypatch.setattr("gan_gym.data.memory.MEMORY_LIMIT", 50 * 3 * 128 * 128)
    cut = []
    monkeypatch.setattr(reading, "cut_patches", lambda *given: cut.append(given) or cut_patches(*given))
    with pytest.raises(DataError, match=r"^60 patches of 128x128 take .*; give fewer images$"):
        load(tmp_path, size=128)
    assert len(cut) == 3
    assert len(load(tmp_path, size=128, max_patches=50).patches) == 50


def test_patches_of_regions_are_drawn_alike_however_often_some_are_thrown_away(tmp_path: Path) -> None:
    """The lowest of all random numbers, one a patch, are kept, whatever was kept on the way."""
    for i in range(6):
        region(i).save(tmp_path / f"{i}.png")
    every = load(tmp_path, size=128).patches.images
    keys = np.random.default_rng(3).random(len(every))
    for n in (7, 30, 59, 60, 61, 100, 119):
        drawn = load(tmp_path, size=128, max_patches=n, seed=3).patches
        kept = np.sort(np.argsort(keys)[:n])
        assert torch.equal(drawn.images, every[kept])
        assert drawn.groups.tolist() == (kept // 20).tolist()
