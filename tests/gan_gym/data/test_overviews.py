from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_gym.data.overviews as overviews
from gan_gym.data.decoding import BadImage
from gan_gym.data.overviews import cache_folder, slide_overview
from gan_gym.data.slides import Slide, opened_slide

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., Path]


@pytest.fixture
def slide_path(tmp_path: Path, draw_slide: Draw, write_slide: Write) -> Path:
    return write_slide(tmp_path / "a.tif", draw_slide()[0])


@pytest.fixture
def n_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts, read = [0], Slide.read

    def counted(slide: Slide, *args: object) -> Image.Image:
        counts[0] += 1
        return read(slide, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Slide, "read", counted)
    return counts


def make(path: Path, side: int = 320) -> np.ndarray:
    with opened_slide(path) as slide:
        return np.asarray(slide_overview(slide, side))


def test_the_whole_slide_is_shown_and_never_enlarged(slide_path: Path, draw_slide: Draw) -> None:
    small = make(slide_path)
    assert small.shape == (256, 320, 3)
    expected = np.asarray(Image.fromarray(draw_slide()[0]).reduce(4), float)
    assert np.abs(small - expected).mean() < 1
    assert make(slide_path, 5000).shape == (1024, 1280, 3)


def test_it_is_made_once(slide_path: Path, own_cache: Path, n_reads: list[int]) -> None:
    first = make(slide_path)
    assert cache_folder() == own_cache / "gan-gym" / "overviews"
    kept = list((own_cache / "gan-gym" / "overviews").iterdir())
    assert [file.suffix for file in kept] == [".png"]
    np.testing.assert_array_equal(make(slide_path), first)
    assert n_reads == [1]
    make(slide_path, 100)
    assert n_reads == [2]
    os.utime(slide_path, ns=(0, 1))
    make(slide_path)
    assert n_reads == [3]


@pytest.mark.parametrize("damage", [b"", b"no png", None])
def test_a_damaged_cache_is_made_again(
    slide_path: Path, own_cache: Path, n_reads: list[int], damage: bytes | None
) -> None:
    first = make(slide_path)
    (kept,) = (own_cache / "gan-gym" / "overviews").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(make(slide_path), first)
    assert n_reads == [2]
    assert kept.read_bytes() == whole


def test_an_image_of_another_size_is_no_overview(slide_path: Path, own_cache: Path) -> None:
    first = make(slide_path)
    (kept,) = (own_cache / "gan-gym" / "overviews").iterdir()
    Image.new("RGB", (10, 10)).save(kept)
    np.testing.assert_array_equal(make(slide_path), first)


def test_a_cache_that_cannot_be_written_is_done_without(
    slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(slide_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    np.testing.assert_array_equal(make(slide_path), expected)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(os, "replace", full)
    np.testing.assert_array_equal(make(slide_path), expected)
    assert list((tmp_path / "other" / "gan-gym" / "overviews").iterdir()) == []


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache_folder() == tmp_path / ".cache" / "gan-gym" / "overviews"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder() is None


def test_runs_side_by_side_see_whole_overviews(slide_path: Path, own_cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, [slide_path] * 16))
    assert all((one == made[0]).all() for one in made)
    assert len(list((own_cache / "gan-gym" / "overviews").iterdir())) == 1


def test_too_little_of_a_pyramid_is_refused(slide_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overviews, "READ_LIMIT", 1000)
    with pytest.raises(BadImage, match="no pyramid: 256x320 px"):
        make(slide_path, 310)
