"""One image file in, plain 8-bit RGB out, or the reason why not."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from gan_gym.data.report import REMEDIES, Unusable
from gan_gym.data.sizes import size_text

PIXEL_LIMIT = 178_956_970
"""Images with more pixels are refused by their header; beyond it Pillow suspects a decompression bomb."""
FORMATS = ("PNG", "JPEG", "TIFF")
"""Decoders allowed, whatever a file is called: others may run programs (EPS) or read further files."""
RESAMPLING = Image.Resampling.BICUBIC
"""Antialiased when it shrinks; what is not shifts FID (Parmar et al. 2022, arXiv 2104.11222)."""

_BITS_PER_SAMPLE = 258
_ALPHA_MODES = ("RGBA", "RGBa", "PA", "RGBX")
_GREY_MODES = ("1", "L", "LA", "La")


class BadImage(Exception):
    """An image that is left out; the text is the reason."""


@dataclass(frozen=True)
class Header:
    """What a file says about itself before its pixels are decoded."""

    size: tuple[int, int]
    """Height and width in pixels."""
    digest: bytes
    """SHA-256 of the whole file."""


def read_header(path: Path, convert: bool) -> Header:
    """Read size and hash of an image file; nothing is decoded.

    Args:
        path: the file.
        convert: whether `decode` will be asked to convert colours.

    Raises:
        BadImage: if the file cannot be used.
    """
    try:
        with regular_file(path) as file:
            with _opened(file) as image:
                size = image.height, image.width
                if size[0] * size[1] > PIXEL_LIMIT:
                    raise BadImage(
                        f"beyond the pixel limit: {size_text(size)}, more than {PIXEL_LIMIT / 1e6:.0f} Mpx"
                    )
                _check_colours(image, convert)
            file.seek(0)
            return Header(size, hashlib.file_digest(file, "sha256").digest())
    except Exception as error:  # hostile bytes raise nearly anything in a decoder
        raise why_unusable(error) from error


@contextmanager
def regular_file(path: Path) -> Iterator[BufferedReader]:
    """Open a file that is one, and not empty.

    Raises:
        BadImage: if it is neither.
        OSError: if it cannot be opened; see `why_unusable`.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadImage("not a regular file")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise BadImage("empty file")
        yield file


def decode(path: Path, convert: bool) -> Image.Image:
    """Decode the first frame of an image file as 8-bit RGB; an EXIF orientation is ignored.

    Args:
        path: a file that `read_header` accepted.
        convert: convert other colours instead of refusing them.

    Raises:
        BadImage: if the pixels cannot be decoded.
    """
    try:
        with path.open("rb") as file, _opened(file) as image:
            image.load()
            return to_rgb(image) if convert else image.copy()
    except Exception as error:
        raise why_unusable(error) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to 8-bit RGB: 16 bits are scaled, what is transparent is composited on white."""
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        image = Image.fromarray(grey.astype(np.uint8))
    if image.mode in (*_ALPHA_MODES, "LA", "La") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def resize(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resize an RGB image without distortion: the largest centred box of the wanted shape is kept.

    Args:
        image: RGB.
        size: height and width wanted.

    Returns:
        `(3, H, W)` uint8.
    """
    box = kept_box((image.height, image.width), size)
    return pixels(image.resize(size[::-1], RESAMPLING, box=box))


def kept_box(sides: tuple[int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the largest centred box of the shape of `size` within an image.

    Args:
        sides: height and width of the image.
        size: height and width wanted.
    """
    scale = min(side / wanted for side, wanted in zip(sides, size, strict=True))
    # a side that was divided and multiplied may have grown by a rounding error
    height, width = (min(wanted * scale, side) for side, wanted in zip(sides, size, strict=True))
    left, top = (sides[1] - width) / 2, (sides[0] - height) / 2
    return left, top, left + width, top + height


def pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of an RGB image, `(3, H, W)` uint8."""
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def colour_problem(image: Image.Image) -> str | None:
    """Return why an opened image is no plain 8-bit RGB image, a key of `REMEDIES`; `None` where it is."""
    bits = _bits(image)
    if bits > 16 or image.mode in ("I", "F"):
        return "32-bit"
    if bits == 16 or image.mode.startswith("I;16"):
        return "16-bit"
    if image.mode in _GREY_MODES:
        return "greyscale"
    if image.mode == "P":
        return "palette"
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return "alpha channel"
    if image.mode == "CMYK":
        return "CMYK"
    return None if image.mode == "RGB" else f"other colours: {image.mode}"


@contextmanager
def _opened(file: IO[bytes]) -> Iterator[Image.Image]:
    quiet = _quiet_stderr() if file.read(2) in (b"II", b"MM") else nullcontext()
    file.seek(0)
    with quiet, Image.open(file, formats=FORMATS) as image:
        yield image


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Send the process's stderr nowhere: of a damaged TIFF, libtiff writes there what Pillow raises."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _check_colours(image: Image.Image, convert: bool) -> None:
    problem = colour_problem(image)
    if problem is not None and not (convert and REMEDIES[Unusable("", problem).category] == "convert"):
        raise BadImage(problem)


def _bits(image: Image.Image) -> int:
    """Return the bits a channel in the file: Pillow reads 16-bit colour as 8-bit RGB without a word."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    if image.format == "PNG" and image.fp is not None:
        position = image.fp.tell()
        image.fp.seek(24)  # 8 signature, 4 length, 4 "IHDR", 4 width, 4 height
        bits = image.fp.read(1)[0]
        image.fp.seek(position)
        return int(bits)
    return 8


def why_unusable(error: Exception) -> BadImage:
    """Return what is wrong with an image whose reading raised `error`."""
    if isinstance(error, BadImage):
        return error
    if isinstance(error, PermissionError):
        return BadImage("no read permission")
    if isinstance(error, UnidentifiedImageError):
        return BadImage("no PNG, JPEG or TIFF image inside")
    if isinstance(error, Image.DecompressionBombError):
        return BadImage(f"beyond the pixel limit: more than {PIXEL_LIMIT / 1e6:.0f} Mpx")
    return BadImage("truncated or damaged")
