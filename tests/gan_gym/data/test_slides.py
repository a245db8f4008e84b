from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gan_gym.data.slides as slides
from gan_gym.data.decoding import RESAMPLING, BadImage
from gan_gym.data.slides import opened_slide

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., Path]
REAL = os.environ.get("GAN_GYM_DATA")


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_facts_are_read(tmp_path: Path, write_slide: Write) -> None:
    path = write_slide(tmp_path / "a.tif", noise((600, 800)), mpp=0.25, factors=(2, 8))
    with opened_slide(path) as slide:
        assert slide.vendor == "generic-tiff"
        assert slide.levels == ((600, 800), (300, 400), (75, 100))
        assert slide.size == (600, 800)
        assert slide.mpp == (0.25, 0.25)
        assert [slide.best_level(d) for d in (0.3, 1, 1.9, 2, 7.9, 8, 100)] == [0, 0, 0, 1, 1, 2, 2]
        assert slide.best_level(7.98) == 2  # downsamples are rounded


def test_pixels_are_exact_where_nothing_is_resized(tmp_path: Path, write_slide: Write) -> None:
    pixels = noise((600, 800))
    with opened_slide(write_slide(tmp_path / "a.tif", pixels, factors=(2,))) as slide:
        np.testing.assert_array_equal(slide.read((100, 50, 48, 32), (32, 48)), pixels[50:82, 100:148])
        np.testing.assert_array_equal(slide.read((752, 568, 48, 32), (32, 48)), pixels[568:, 752:])
        half = np.asarray(Image.fromarray(pixels).reduce(2))
        np.testing.assert_array_equal(slide.read((100, 50, 96, 64), (32, 48)), half[25:57, 50:98])


@pytest.mark.parametrize("mpp", [0.3, 0.4, 0.6, 0.9, 1.3])
def test_a_box_is_resampled_as_if_the_whole_level_were(
    tmp_path: Path, write_slide: Write, mpp: float
) -> None:
    """Neighbours outside the box count, so that patches fit together."""
    pixels = noise((600, 800))
    with opened_slide(write_slide(tmp_path / "a.tif", pixels, factors=())) as slide:
        side = 64 * mpp / 0.5
        for left, top in ((0, 0), (200, 100), (800 - side, 600 - side)):
            first = min(round(left), int(800 - side)), min(round(top), int(600 - side))
            box = (*first, first[0] + side, first[1] + side)
            expected = Image.fromarray(pixels).resize((64, 64), RESAMPLING, box=box)
            read = np.asarray(slide.read((left, top, side, side), (64, 64)), int)
            difference = np.abs(read - np.asarray(expected, int))
            assert difference.max() <= 1  # Pillow rounds boxes to single precision
            assert difference.mean() < 0.05


def test_axes_may_differ(tmp_path: Path, write_slide: Write) -> None:
    with opened_slide(write_slide(tmp_path / "a.tif", noise((600, 800)), factors=())) as slide:
        assert slide.read((10, 10, 100, 37.5), (24, 48)).size == (48, 24)


def test_large_boxes_are_read_block_by_block(
    tmp_path: Path, draw_slide: Draw, write_slide: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, _ = draw_slide(size=(1000, 1300))
    path = write_slide(tmp_path / "a.tif", pixels, factors=())
    with opened_slide(path) as slide:
        at_once = np.asarray(slide.read((0, 0, 1300, 1000), (50, 65)), float)
    read: list[int] = []
    monkeypatch.setattr(slides, "BLOCK_PIXELS", 60_000)
    region = slides.Slide._region

    def counted(slide: slides.Slide, level: int, x: int, y: int, width: int, height: int) -> Any:
        read.append(width * height)
        return region(slide, level, x, y, width, height)

    monkeypatch.setattr(slides.Slide, "_region", counted)
    with opened_slide(path) as slide:
        in_blocks = np.asarray(slide.read((0, 0, 1300, 1000), (50, 65)), float)
    assert sum(read) == 1000 * 1300
    assert max(read) <= 60_000
    assert np.abs(in_blocks - at_once).mean() < 1
    assert (
        np.abs(in_blocks - np.asarray(Image.fromarray(pixels).resize((65, 50), Image.Resampling.BOX))).mean()
        < 2
    )


def test_what_is_missing_is_white(tmp_path: Path, write_slide: Write) -> None:
    with opened_slide(write_slide(tmp_path / "a.tif", noise((600, 800)))) as slide:
        assert (np.asarray(slide._region(0, 790, 0, 20, 5))[:, 10:] == 255).all()


def refusal(path: Path) -> str:
    with pytest.raises(BadImage) as error, opened_slide(path) as slide:
        slide.read((0, 0, *slide.size[::-1]), slide.size)
    return str(error.value)


def test_what_cannot_be_used_is_named(
    tmp_path: Path, write_slide: Write, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.svs").write_text("this is no slide")
    assert refusal(tmp_path / "text.svs") == "no slide that OpenSlide can read"
    (tmp_path / "empty.svs").touch()
    assert refusal(tmp_path / "empty.svs") == "empty file"
    (tmp_path / "folder.svs").mkdir()
    assert refusal(tmp_path / "folder.svs") == "not a regular file"
    whole = write_slide(tmp_path / "a.tif", noise((600, 800)), factors=())
    (tmp_path / "cut.tif").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert refusal(tmp_path / "cut.tif").startswith("truncated or damaged: ")
    assert refusal(tmp_path / "gone.tif") == "truncated or damaged"

    def locked(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", locked)
        assert refusal(whole) == "no read permission"
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "openslide", None)
        assert refusal(whole) == "OpenSlide is not installed"
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    REAL is None, reason="set GAN_GYM_DATA to the folder with cmu_small_region to test on a real slide"
)
def test_a_real_slide() -> None:
    with opened_slide(Path(REAL or "", "cmu_small_region/slide/CMU-1-Small-Region.svs")) as slide:
        assert (slide.vendor, slide.levels, slide.mpp) == ("aperio", ((2967, 2220),), (0.499, 0.499))
        assert slide.read((1000, 1000, 128, 128), (64, 64)).getextrema() != ((255, 255),) * 3
