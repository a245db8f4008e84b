"""Which files are slides, and that the files of a DICOM series are one."""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from gan_gym.data.loading import load_patches
from gan_gym.data.slide_files import part_slides

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
Write = Callable[..., Path]
SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG = "1.2.840.10008.1.2.4.50"


def element(group: int, number: int, kind: str, value: str | bytes) -> bytes:
    """Write one DICOM element, explicit and little-endian."""
    content = value.encode() if isinstance(value, str) else value
    content += (b"\0" if kind in ("UI", "OB") else b" ") * (len(content) % 2)
    length = (
        b"\0\0" + struct.pack("<I", len(content)) if kind in ("OB", "SQ") else struct.pack("<H", len(content))
    )
    return struct.pack("<HH", group, number) + kind.encode() + length + content


def item(content: bytes, number: int = 0xE000) -> bytes:
    return struct.pack("<HHI", 0xFFFE, number, len(content)) + content


def write_dicom(path: Path, pixels: np.ndarray, series: str, instance: str, mpp: float = 0.5) -> None:
    """Write one level of a slide as DICOM: JPEG tiles of 128 pixels, TILED_FULL."""
    tile, (height, width) = 128, pixels.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.full((rows * tile, columns * tile, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    frames = []
    for i in range(rows * columns):
        y, x = i // columns * tile, i % columns * tile
        stream = io.BytesIO()
        Image.fromarray(padded[y : y + tile, x : x + tile]).save(stream, "JPEG", quality=95, subsampling=0)
        frames.append(stream.getvalue() + b"\0" * (len(stream.getvalue()) % 2))
    meta = b"".join(
        [
            element(2, 1, "OB", b"\0\1"),
            element(2, 2, "UI", SLIDE_CLASS),
            element(2, 3, "UI", instance),
            element(2, 0x10, "UI", JPEG),
            element(2, 0x12, "UI", "1.2.3"),
        ]
    )
    measures = element(0x28, 0x30, "DS", f"{mpp / 1000}\\{mpp / 1000}")
    other = element(0x20, 0xE, "UI", "9.9.9")  # a series that is only referred to
    numbers = {2: 3, 6: 0, 0x10: tile, 0x11: tile, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
    texts = {4: ("CS", "YBR_FULL_422"), 8: ("IS", str(rows * columns))}
    image = [
        element(0x28, n, *(texts[n] if n in texts else ("US", struct.pack("<H", numbers[n]))))
        for n in sorted(numbers | texts)
    ]
    body = b"".join(
        [
            element(8, 8, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"),
            element(8, 0x16, "UI", SLIDE_CLASS),
            element(8, 0x18, "UI", instance),
            element(8, 0x60, "CS", "SM"),
            element(8, 0x1115, "SQ", item(other)),
            element(0x20, 0xD, "UI", "1.2.99"),
            element(0x20, 0xE, "UI", series),
            element(0x20, 0x52, "UI", "1.2.98"),
            element(0x20, 0x9311, "CS", "TILED_FULL"),
            *image,
            element(0x48, 6, "UL", struct.pack("<I", width)),
            element(0x48, 7, "UL", struct.pack("<I", height)),
            element(0x5200, 0x9229, "SQ", item(element(0x28, 0x9110, "SQ", item(measures)))),
        ]
    )
    pixel_data = struct.pack("<HH", 0x7FE0, 0x10) + b"OB\0\0" + struct.pack("<I", 0xFFFFFFFF)
    pixel_data += item(b"") + b"".join(item(frame) for frame in frames) + item(b"", 0xE0DD)
    path.parent.mkdir(parents=True, exist_ok=True)
    length = element(2, 0, "UL", struct.pack("<I", len(meta)))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + body + pixel_data)


def write_series(folder: Path, pixels: np.ndarray, series: str) -> None:
    write_dicom(folder / f"{series}.1.dcm", pixels, series, f"{series}.1")
    write_dicom(
        folder / f"{series}.2.dcm", np.asarray(Image.fromarray(pixels).reduce(4)), series, f"{series}.2", 2.0
    )


def found(folder: Path) -> tuple[list[str], list[str]]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.is_file())
    slides, plain = part_slides(str(folder), names)
    assert all((folder / slide.name).exists() for slide in slides)
    return [slide.name for slide in slides], plain


def test_a_dicom_series_is_one_slide(tmp_path: Path, draw_slide: Draw) -> None:
    for i, name in enumerate(("TCGA-A2-A0CM-DX1", "TCGA-A2-A0CM-DX2", "other")):
        write_series(tmp_path / name, draw_slide(i, size=(640, 768))[0], f"1.2.{i}")
    loaded = load_patches(tmp_path, 64, min_patches=1)
    report = loaded.report
    assert (report.kind, report.n_images, report.n_used, report.n_groups) == ("slides", 3, 3, 2)
    assert [slide[:2] for slide in report.slides] == [
        ("TCGA-A2-A0CM-DX1", "dicom"),
        ("TCGA-A2-A0CM-DX2", "dicom"),
        ("other", "dicom"),
    ]
    assert all(slide.mpp == (0.5, 0.5) and slide.n_levels == 2 for slide in report.slides)
    assert report.classes == {"unlabelled": report.n_patches}
    shutil.copytree(tmp_path / "other", tmp_path / "copy")
    again = load_patches(tmp_path, 64, min_patches=1).report
    assert (again.n_images, again.n_used) == (4, 3)
    assert "exact copies of other slides are left out: 1, such as other" in again.warnings


def test_names_of_series_keep_the_classes(tmp_path: Path) -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    write_series(tmp_path / "tumor" / "slide_a", pixels, "1.2.1")
    write_series(tmp_path / "tumor" / "slide_b", pixels, "1.2.2")
    write_series(tmp_path / "normal", pixels, "1.2.3")
    assert found(tmp_path)[0] == ["normal/1.2.3.1.dcm", "tumor/slide_a", "tumor/slide_b"]
    write_series(tmp_path / "normal", pixels, "1.2.4")
    write_series(tmp_path / "tumor" / "slide_b", pixels, "1.2.5")
    assert found(tmp_path)[0] == [
        "normal/1.2.3.1.dcm",
        "normal/1.2.4.1.dcm",
        "tumor/slide_a",
        "tumor/slide_b/1.2.2.1.dcm",
        "tumor/slide_b/1.2.5.1.dcm",
    ]


def test_a_damaged_dicom_is_a_slide_of_its_own_that_cannot_be_used(tmp_path: Path, draw_slide: Draw) -> None:
    write_series(tmp_path, draw_slide(size=(640, 768))[0], "1.2.1")
    (tmp_path / "z.dcm").write_bytes(b"\0" * 128 + b"DICM" + os.urandom(300))
    report = load_patches(tmp_path, 64, min_patches=1).report
    assert (report.n_images, report.n_used) == (2, 1)
    assert [entry.path for entry in report.unusable] == ["z.dcm"]


def test_a_tiff_is_a_slide_by_its_tiles_and_levels(tmp_path: Path, write_slide: Write) -> None:
    pixels = np.zeros((600, 700, 3), np.uint8)
    write_slide(tmp_path / "pyramid.tif", pixels)
    write_slide(tmp_path / "level.TIFF", pixels, factors=())
    write_slide(tmp_path / "small.tif", pixels[:400], factors=(2,))
    Image.fromarray(pixels).save(tmp_path / "strips.tif")
    pages = [Image.fromarray(pixels[:, :100]) for _ in range(2)]
    Image.fromarray(pixels).save(tmp_path / "pages.tif", save_all=True, append_images=pages)
    with tifffile.TiffWriter(tmp_path / "big.tif", bigtiff=True) as tiff:
        for level in (pixels, pixels[::2, ::2]):
            tiff.write(level, tile=(128, 128), photometric="rgb", metadata=None)
    tifffile.imwrite(
        tmp_path / "large.tif", shape=(4100, 4100, 3), dtype=np.uint8, tile=(256, 256), photometric="rgb"
    )
    for name in ("a.svs", "b.NDPI", "c.mrxs", "d.scn", "e.bif", "f.png"):
        (tmp_path / name).write_bytes(b"II*\0")
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "empty.tif").touch()
    slides, plain = found(tmp_path)
    assert slides == ["a.svs", "b.NDPI", "big.tif", "c.mrxs", "d.scn", "e.bif", "large.tif", "pyramid.tif"]
    assert plain == ["empty.tif", "f.png", "level.TIFF", "pages.tif", "small.tif", "strips.tif", "text.tif"]


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.tif", "b.dcm"):
        os.mkfifo(tmp_path / name)
    slides, plain = part_slides(str(tmp_path), ["a.tif", "b.dcm"])
    assert ([slide.name for slide in slides], plain) == (["b.dcm"], ["a.tif"])


@pytest.mark.parametrize("seed", range(8))
def test_no_bytes_escape_as_an_error(tmp_path: Path, write_slide: Write, seed: int) -> None:
    """Damaged slides among whole ones: whatever is in them, the whole ones are used."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(100, 130, (512, 512, 3), dtype=np.uint8) + np.array([90, 0, 60], np.uint8)
    whole = write_slide(tmp_path / "whole.tif", pixels)
    damaged = bytearray(whole.read_bytes())
    for place in rng.integers(0, len(damaged) if seed % 2 else 400, 30):
        damaged[place] = rng.integers(256)
    (tmp_path / "damaged.tif").write_bytes(damaged)
    (tmp_path / "damaged.svs").write_bytes(damaged[: rng.integers(len(damaged))])
    report = load_patches(tmp_path, 128, min_patches=1).report
    assert "whole.tif" in [slide.name for slide in report.slides]
