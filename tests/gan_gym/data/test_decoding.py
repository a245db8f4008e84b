from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_gym.data.decoding import RESAMPLING, BadImage, decode, kept_box, read_header, resize
from gan_gym.data.report import REMEDIES, Unusable

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png16(values: np.ndarray) -> bytes:
    """Encode `(H, W, 3)` uint16 as a PNG, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 16, 2, rows)


def reason(path: Path, convert: bool = False) -> str:
    with pytest.raises(BadImage) as error:
        read(path, convert)
    entry = Unusable(path.name, str(error.value))
    assert entry.category in REMEDIES
    return entry.category


def read(path: Path, convert: bool) -> Image.Image:
    read_header(path, convert)
    return decode(path, convert)


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff"])
def test_plain_rgb_passes_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    assert read_header(path, False).size == (16, 24)
    for convert in (False, True):
        np.testing.assert_array_equal(np.asarray(decode(path, convert)), RGB)


@pytest.mark.parametrize(
    ("mode", "suffix", "expected"),
    [
        ("L", "png", "greyscale"),
        ("1", "png", "greyscale"),
        ("LA", "png", "greyscale"),
        ("L", "jpg", "greyscale"),
        ("RGBA", "png", "alpha channel"),
        ("RGBA", "tif", "alpha channel"),
        ("P", "png", "palette"),
        ("I;16", "png", "16-bit"),
        ("I;16", "tif", "16-bit"),
        ("CMYK", "tif", "CMYK"),
        ("CMYK", "jpg", "CMYK"),
        ("LAB", "tif", "other colours"),
    ],
)
def test_other_colours_are_refused_or_converted(
    tmp_path: Path, mode: str, suffix: str, expected: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.fromarray(RGB)
    if mode == "I;16":
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(path)
    elif mode == "LAB":
        Image.frombytes("LAB", image.size, RGB.tobytes()).save(path)
    else:
        image.convert(mode).save(path)
    assert reason(path) == expected
    assert read_header(path, True).size == (16, 24)
    converted = decode(path, True)
    assert (converted.mode, converted.size) == ("RGB", (24, 16))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bits_have_no_known_range(tmp_path: Path, mode: str) -> None:
    Image.fromarray(RGB).convert("L").convert(mode).save(tmp_path / "a.tif")
    assert reason(tmp_path / "a.tif") == reason(tmp_path / "a.tif", convert=True) == "32-bit"


def test_16_bits_are_scaled(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 129, 257, 30000, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = np.rint(grey / 257).astype(np.uint8)
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "grey.png", True))[..., 0], expected)
    colour = RNG.integers(0, 65536, (8, 8, 3), dtype=np.uint16)
    (tmp_path / "colour.png").write_bytes(png16(colour))
    assert reason(tmp_path / "colour.png") == "16-bit"
    read = np.asarray(decode(tmp_path / "colour.png", True)).astype(int)
    assert np.abs(read - colour / 257).max() <= 1


def test_transparency_is_composited_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[200, 0, 100, 255], [200, 0, 100, 0], [200, 0, 100, 128]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = np.asarray(decode(tmp_path / "a.png", True)).astype(int)
    alpha = pixels[..., 3:] / 255
    assert np.abs(read - (pixels[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1
    Image.fromarray(pixels[..., :3]).save(tmp_path / "key.png", transparency=(200, 0, 100))
    assert reason(tmp_path / "key.png") == "alpha channel"
    assert (np.asarray(decode(tmp_path / "key.png", True)) == 255).all()


def test_broken_files_are_refused_even_with_conversion(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    broken = {
        "empty.png": (b"", "empty file"),
        "text.png": (b"not an image", "no PNG, JPEG or TIFF image inside"),
        "signature.png": (whole[:8], "no PNG, JPEG or TIFF image inside"),
        "cut.png": (whole[: len(whole) // 2], "truncated or damaged"),
        "flipped.png": (
            whole[:80] + bytes(b ^ 255 for b in whole[80:120]) + whole[120:],
            "truncated or damaged",
        ),
        "script.png": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "no PNG, JPEG or TIFF image inside",
        ),
    }
    for name, (data, expected) in broken.items():
        (tmp_path / name).write_bytes(data)
        for convert in (False, True):
            assert reason(tmp_path / name, convert) == expected, name
    for suffix, settings in (("jpg", {}), ("tif", {"compression": "tiff_lzw"}), ("tiff", {})):
        path = tmp_path / f"cut.{suffix}"
        Image.fromarray(RGB).resize((200, 200)).save(path, **settings)  # type: ignore[arg-type]
        path.write_bytes(path.read_bytes()[:-300])
        assert reason(path) in ("truncated or damaged", "no PNG, JPEG or TIFF image inside"), suffix
    assert reason(tmp_path / "gone.png") == "truncated or damaged"
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "not a regular file"


def test_no_bytes_escape_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "a"
    for suffix in ("PNG", "JPEG", "TIFF"):
        Image.fromarray(RGB).save(path, suffix)
        whole = path.read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for i in rng.integers(0, min(len(data), 200), 4):
                data[i] = rng.integers(256)
            path.write_bytes(data)
            with contextlib.suppress(BadImage):
                assert read(path, True).mode == "RGB"


def test_damaged_tiffs_are_refused_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).save(path, compression="tiff_adobe_deflate")
    data = bytearray(path.read_bytes())
    data[20:60] = bytes(40)
    path.write_bytes(data)
    assert reason(path) == "truncated or damaged"
    os.write(2, b"still there")
    assert capfd.readouterr() == ("", "still there")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_pixel_limit_is_checked_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(png(20000, 20000, 8, 2, b""))
    assert reason(tmp_path / "bomb.png", convert=True) == "beyond the pixel limit"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert reason(tmp_path / "bomb.png", convert=True) == "beyond the pixel limit"


def test_first_frame_counts_and_orientation_does_not(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB), Image.new("RGB", (24, 16))]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "a.tif", False)), RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames[0].save(tmp_path / "b.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(decode(tmp_path / "b.png", False)), RGB)


def test_resizing_is_antialiased_and_keeps_the_shape() -> None:
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize(Image.fromarray(stripes), (32, 32))
    assert small.shape == (3, 32, 32)
    assert small.std() < 20  # point sampling would give stripes again: a standard deviation near 127
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 200  # the largest centred square
    np.testing.assert_array_equal(resize(Image.fromarray(wide), (40, 40)), np.full((3, 40, 40), 200))
    np.testing.assert_array_equal(resize(Image.fromarray(RGB), (16, 24)), RGB.transpose(2, 0, 1))


def test_the_box_kept_lies_within_the_image_and_has_the_shape_wanted() -> None:
    """For every side up to 640 pixels, and every size: 450 / 224 * 224 is more than 450."""
    for wanted in (16, 28, 32, 48, 64, 96, 100, 112, 128, 176, 200, 224, 240, 256):
        for side in range(1, 641):
            for sides, size in (((side, side), (wanted, wanted)), ((side, 333), (wanted, 72))):
                left, top, right, bottom = kept_box(sides, size)
                assert 0 <= left < right <= sides[1], (sides, size)
                assert 0 <= top < bottom <= sides[0], (sides, size)
                assert (right - left) * size[0] == pytest.approx((bottom - top) * size[1])
                assert left + right == pytest.approx(sides[1])
                assert top + bottom == pytest.approx(sides[0])
                assert min(left, top) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("side", "wanted"), [(450, 224), (225, 112), (500, 240), (400, 176), (448, 200)])
def test_sides_that_rounding_makes_longer_are_resized(side: int, wanted: int) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (side, side, 3), dtype=np.uint8))
    expected = np.asarray(image.resize((wanted, wanted), RESAMPLING)).transpose(2, 0, 1)
    np.testing.assert_array_equal(resize(image, (wanted, wanted)), expected)
