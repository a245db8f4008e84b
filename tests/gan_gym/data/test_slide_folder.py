from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan_gym.data.slide_reading as slide_reading
import gan_gym.data.slides as slides
from gan_gym.data.decoding import RESAMPLING
from gan_gym.data.loading import DataError, inspect_data, load_patches
from gan_gym.data.report import REMEDIES, Loaded

Maker = Callable[..., list[Path]]
Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., Path]
REAL = os.environ.get("GAN_GYM_DATA")


def load(source: Path, size: int | str = 64, **settings: Any) -> Loaded:
    return load_patches(source, size, **{"min_patches": 1, **settings})


@pytest.fixture(autouse=True)
def small_overviews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_gym.data.slide_survey.OVERVIEW_SIDE", 320)


@pytest.fixture
def two_slides(tmp_path: Path, draw_slide: Draw, write_slide: Write) -> Path:
    for i, name in enumerate(("normal/slide_1.tif", "tumor/slide_2.tif")):
        write_slide(tmp_path / "data" / name, draw_slide(i)[0])
    return tmp_path / "data"


def test_slides_give_patches_overviews_groups_and_classes(two_slides: Path, draw_slide: Draw) -> None:
    loaded = load(two_slides)
    patches, report = loaded.patches, loaded.report
    assert (report.kind, report.n_images, report.n_used, report.n_groups) == ("slides", 2, 2, 2)
    assert report.sizes == {"1024x1280": 2}
    assert len(report.warnings) == 1
    assert "each class folder holds one patient or slide" in report.warnings[0]
    assert [tuple(slide) for slide in report.slides] == [
        (name, "generic-tiff", (1024, 1280), (0.5, 0.5), 2)
        for name in ("normal/slide_1.tif", "tumor/slide_2.tif")
    ]
    assert patches.classes == ("normal", "tumor")
    assert torch.equal(patches.labels, patches.groups)
    assert patches.regions is not None
    assert patches.region_groups is not None
    assert patches.region_groups.tolist() == [0, 1]
    whole = Image.fromarray(draw_slide(0)[0]).resize((64, 64), RESAMPLING)
    assert np.abs(patches.regions[0].numpy() - np.asarray(whole).transpose(2, 0, 1).astype(float)).mean() < 3


def test_all_patches_lie_on_tissue_and_are_exact(two_slides: Path, draw_slide: Draw) -> None:
    """At the slide's own resolution each patch is a cell of the grid, and none with tissue is missing."""
    patches = load(two_slides).patches
    for group in (0, 1):
        pixels, truth = draw_slide(group)
        cells = {}
        for top in range(0, 1024, 64):
            for left in range(0, 1280, 64):
                cell = pixels[top : top + 64, left : left + 64]
                cells[cell.transpose(2, 0, 1).tobytes()] = truth[top : top + 64, left : left + 64].mean()
        found = [cells.pop(patch.numpy().tobytes()) for patch in patches.images[patches.groups == group]]
        assert len(found) > 100
        assert min(found) > 0.45
        assert max(cells.values()) < 0.55


@pytest.mark.parametrize(("own", "mpp"), [(0.5, 1.0), (0.5, 0.7), (0.25, 0.5), (0.4, 0.5), (0.5, 2.0)])
def test_patches_have_the_resolution_asked_for(
    tmp_path: Path, write_slide: Write, own: float, mpp: float
) -> None:
    """Stripes with a period of 40 µm: the patches' spectrum says how many micrometres a pixel spans."""
    x = np.arange(1024) * own
    wave = (128 + 70 * np.sin(2 * np.pi * x / 40)).astype(np.uint8)
    pixels = np.stack(
        [np.tile(wave, (1024, 1)), np.full((1024, 1024), 60, np.uint8), np.tile(wave, (1024, 1))], 2
    )
    write_slide(tmp_path / "slide.tif", pixels, mpp=own, factors=(2, 4))
    images = load(tmp_path, mpp=mpp).patches.images
    assert len(images) == int(1024 * own / (64 * mpp) + 1e-9) ** 2
    line = (images[:, 0].float().mean(1) - images[:, 0].float().mean()).cfloat()
    phases = torch.arange(64) * mpp * 2 * torch.pi
    periods = torch.arange(20.0, 80.0, 0.5)
    power = torch.stack([(line @ torch.exp(1j * phases / period)).abs().mean() for period in periods])
    assert abs(float(periods[power.argmax()]) - 40) <= 3


def test_resolution_that_is_not_said_is_taken_with_one_warning(
    tmp_path: Path, draw_slide: Draw, write_slide: Write
) -> None:
    for i in range(3):
        write_slide(tmp_path / f"{i}.tif", draw_slide(i)[0], mpp=None)
    warned = load(tmp_path, mpp=0.25)
    assert warned.report.warnings == (
        "3 of 3 slides do not say their resolution, such as 0.tif: their pixels are taken to be 0.25 µm; "
        "give it with --slide_mpp",
    )
    assert [slide.mpp for slide in warned.report.slides] == [None] * 3
    told = load(tmp_path, mpp=0.25, slide_mpp=0.25)
    assert told.report.warnings == ()
    assert torch.equal(told.patches.images, warned.patches.images)
    assert len(load(tmp_path, mpp=0.5, slide_mpp=0.25).patches) < len(told.patches) / 3


def test_finer_than_the_slide_is_warned_of_once(two_slides: Path) -> None:
    report = load(two_slides, mpp=0.2).report
    (warning,) = [warning for warning in report.warnings if "coarser" in warning]
    assert warning.startswith("2 of 2 slides are coarser than 0.2 µm per pixel, such as normal/slide_1.tif: ")


def test_patches_are_drawn_evenly_by_seed(tmp_path: Path, draw_slide: Draw, write_slide: Write) -> None:
    for i, radius in enumerate((0.4, 0.45, 0.08)):
        write_slide(tmp_path / f"{i}.tif", draw_slide(i, radius=radius)[0])
    whole = load(tmp_path).patches
    drawn = [load(tmp_path, max_patches=40, seed=seed) for seed in (0, 0, 1)]
    counts = torch.bincount(drawn[0].patches.groups).tolist()
    assert sum(counts) == 40
    assert counts[2] == int((whole.groups == 2).sum()) < 10
    assert abs(counts[0] - counts[1]) <= 1
    assert torch.equal(drawn[0].patches.images, drawn[1].patches.images)
    assert not torch.equal(drawn[0].patches.images, drawn[2].patches.images)
    known = {image.numpy().tobytes() for image in whole.images}
    bytes_drawn = {image.numpy().tobytes() for image in drawn[0].patches.images}
    assert len(bytes_drawn) == 40
    assert bytes_drawn <= known
    assert "40 patches were drawn at random, evenly over the slides, of" in drawn[0].report.warnings[-1]


def test_a_cached_overview_changes_nothing(two_slides: Path, own_cache: Path) -> None:
    first = load(two_slides).patches
    second = load(two_slides).patches
    shutil.rmtree(own_cache)
    third = load(two_slides).patches
    for other in (second, third):
        assert torch.equal(first.images, other.images)
        assert first.regions is not None
        assert other.regions is not None
        assert torch.equal(first.regions, other.regions)


def test_what_is_read_is_bounded_by_the_budget_not_by_the_slide(
    tmp_path: Path, draw_slide: Draw, write_slide: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slides, "BLOCK_PIXELS", 100_000)
    monkeypatch.setattr(slide_reading, "SLIDE_PATCHES", 24)
    largest, n_reads = 0, 0
    region = slides.Slide._region

    def counted(slide: slides.Slide, level: int, x: int, y: int, width: int, height: int) -> Any:
        nonlocal largest, n_reads
        largest, n_reads = max(largest, width * height), n_reads + 1
        return region(slide, level, x, y, width, height)

    monkeypatch.setattr(slides.Slide, "_region", counted)
    for scale in (1, 2):
        folder = tmp_path / str(scale)
        for i in range(2):
            write_slide(folder / f"{i}.tif", draw_slide(i, size=(1024 * scale, 1280 * scale))[0])
        load(folder, 64)  # the overviews are made
        largest = n_reads = 0
        loaded = load(folder, 64)
        assert len(loaded.patches) == 24
        assert largest <= 64 * 64
        assert n_reads <= slide_reading.MAX_TRIES * 24
        shutil.rmtree(os.environ["XDG_CACHE_HOME"])
        load(folder, 64)
        assert largest <= 100_000


def test_large_patches_are_fewer() -> None:
    assert slide_reading.budget((64, 64)) == slide_reading.SLIDE_PATCHES
    assert slide_reading.budget((1024, 1024)) == slide_reading.SLIDE_BYTES // (3 * 1024 * 1024) < 1000
    assert slide_reading.budget((4096, 4096)) > 0


def test_unusable_slides_are_listed_and_the_others_used(
    two_slides: Path, draw_slide: Draw, write_slide: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    clean = load(two_slides)
    folder = two_slides / "tumor"
    (folder / "text.svs").write_text("no slide")
    (folder / "empty.ndpi").touch()
    (folder / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 500)
    write_slide(folder / "glass.tif", draw_slide(radius=0)[0])
    write_slide(folder / "small.tif", draw_slide(3, size=(512, 600))[0], mpp=0.05)
    cut = write_slide(folder / "cut.tif", draw_slide(4)[0], factors=())
    whole = cut.read_bytes()
    cut.rename(folder / "cut.svs")
    (folder / "cut.svs").write_bytes(whole[: len(whole) // 3])
    shutil.copy(folder / "slide_2.tif", folder / "slide_2_copy.tif")
    loaded = load(two_slides)
    unusable = {entry.path: entry for entry in loaded.report.unusable}
    assert {path: entry.category for path, entry in unusable.items()} == {
        "tumor/text.svs": "no slide that OpenSlide can read",
        "tumor/empty.ndpi": "empty file",
        "tumor/damaged.dcm": "no slide that OpenSlide can read",
        "tumor/glass.tif": "no tissue",
        "tumor/small.tif": "too small for a patch",
        "tumor/cut.svs": unusable["tumor/cut.svs"].category,
    }
    assert unusable["tumor/cut.svs"].category in ("truncated or damaged", "no slide that OpenSlide can read")
    assert all(entry.category in REMEDIES for entry in loaded.report.unusable)
    assert loaded.report.n_images == 9
    assert torch.equal(loaded.patches.images, clean.patches.images)
    assert (
        "exact copies of other slides are left out: 1, such as tumor/slide_2_copy.tif"
        in loaded.report.warnings
    )
    assert inspect_data(two_slides).unusable == loaded.report.unusable
    assert capfd.readouterr() == ("", "")
    with pytest.raises(DataError, match="cannot be used"):
        load(two_slides, on_bad_image="fail")


def test_a_slide_that_breaks_while_patches_are_cut_leaves_nothing(
    two_slides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = load(two_slides).patches
    read, n_reads = slides.Slide.read, 0

    def broken(slide: slides.Slide, *args: Any) -> Image.Image:
        nonlocal n_reads
        if slide.path.name == "slide_1.tif":
            n_reads += 1
            if n_reads > 20:
                raise __import__("openslide").OpenSlideError("cannot read tile")
        return read(slide, *args)

    monkeypatch.setattr(slides.Slide, "read", broken)
    loaded = load(two_slides)
    assert list(loaded.report.unusable) == [("normal/slide_1.tif", "truncated or damaged: cannot read tile")]
    assert torch.equal(loaded.patches.images, clean.images[clean.groups == 1])
    assert loaded.patches.regions is not None
    assert len(loaded.patches.regions) == 1


def test_without_openslide_the_remedy_is_named(two_slides: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    with pytest.raises(DataError) as error:
        load(two_slides)
    assert "OpenSlide is not installed (2 of them, such as normal/slide_1.tif)" in str(error.value)
    assert str(error.value).endswith("pip install 'gan-gym[wsi]'")


def test_what_at_least_half_are_decides(two_slides: Path, make_patches: Maker) -> None:
    make_patches("data/normal", n=2)
    mixed = load(two_slides)
    assert mixed.report.kind == "slides"
    assert [entry.category for entry in mixed.report.unusable] == ["no slide"] * 2
    make_patches("data/tumor", n=3)
    patches = load(two_slides)
    assert (patches.report.kind, patches.report.n_used) == ("patches", 5)
    assert [entry.reason for entry in patches.report.unusable] == ["slide among other images"] * 2


def test_plain_tiffs_need_no_openslide(
    tmp_path: Path, make_patches: Maker, draw_slide: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither patches nor regions, in strips or in tiles, are slides."""
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    make_patches("patches", n=4, suffix="tif")
    assert load(tmp_path / "patches", 16).report.kind == "patches"
    (tmp_path / "regions").mkdir()
    Image.fromarray(draw_slide()[0]).save(tmp_path / "regions" / "strips.tif")
    import tifffile

    tifffile.imwrite(
        tmp_path / "regions" / "tiles.tif",
        draw_slide(1)[0],
        tile=(128, 128),
        photometric="rgb",
        metadata=None,
    )
    report = load(tmp_path / "regions", 64).report
    assert (report.kind, report.n_used) == ("regions", 2)


def test_an_ome_tiff_says_its_resolution_and_lacks_a_pyramid(
    tmp_path: Path, draw_slide: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSlide sees one level of it; its levels lie in sub-directories."""
    import tifffile

    monkeypatch.setattr(slide_reading, "SLIDE_PIXELS", 1000)
    pixels, _ = draw_slide()
    options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb"}
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        physical = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        tiff.write(pixels, subifds=1, metadata=physical, **options)
        tiff.write(pixels[::2, ::2], subfiletype=1, **options)
    report = load(tmp_path).report
    assert report.slides[0][1:] == ("generic-tiff", (1024, 1280), (0.25, 0.25), 1)
    assert report.warnings[0] == (
        "1 of 1 slides have no pyramid, such as a.ome.tif: their overviews are slow to make the first time"
    )


@pytest.mark.skipif(
    REAL is None, reason="set GAN_GYM_DATA to the folder with cmu_small_region to test on a real slide"
)
def test_a_real_slide() -> None:
    loaded = load(Path(REAL or "", "cmu_small_region"))
    assert (loaded.report.kind, loaded.report.n_used, loaded.report.n_groups) == ("slides", 1, 1)
    assert 500 < loaded.report.n_patches < 620
    assert loaded.report.slides[0].vendor == "aperio"
    assert len(load(Path(REAL or "", "cmu_small_region"), mpp=1.0).patches) < 160
