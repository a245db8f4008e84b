"""One slide, opened by OpenSlide: its facts, and any box of it at any resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from gan_gym.data.decoding import RESAMPLING, BadImage, regular_file, why_unusable
from gan_gym.data.resolution import own_mpp
from gan_gym.names import one_line

BLOCK_PIXELS = 1 << 22
"""Most pixels read at once where a box is shrunk; larger ones are read and shrunk block by block."""
LEVEL_SLACK = 1.005
"""A level serves although it is coarser by this factor: downsamples are rounded (4.0003 for 4)."""

_SUPPORT = 2  # pixels on either side of a target pixel that a bicubic filter looks at, in target pixels


@dataclass(frozen=True)
class Slide:
    """An open slide; its handle cannot be pickled nor copied, so it stays in the block that opened it."""

    path: Path
    """The file it was opened by."""
    vendor: str
    """OpenSlide's name of the format: aperio, hamamatsu, dicom, generic-tiff, ..."""
    levels: tuple[tuple[int, int], ...]
    """Height and width of each level, full resolution first."""
    mpp: tuple[float, float] | None
    """Micrometres per pixel of the full resolution along x and y, if the slide says (see `own_mpp`)."""
    quickhash: str
    """OpenSlide's hash of parts of the file, empty where it has none."""
    handle: Any
    """OpenSlide's own object."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the full resolution in pixels."""
        return self.levels[0]

    def best_level(self, downsample: float) -> int:
        """Return the coarsest level that is at least as fine as `downsample`."""
        height, width = self.size
        coarsest = downsample * LEVEL_SLACK
        fine = [i for i, (h, w) in enumerate(self.levels) if max(height / h, width / w) <= coarsest]
        return min(fine, key=lambda i: self.levels[i][0] * self.levels[i][1], default=0)

    def read(self, box: tuple[float, float, float, float], size: tuple[int, int]) -> Image.Image:
        """Resample a box of the slide, antialiased, from the best level; RGB, transparent parts white.

        No more than `BLOCK_PIXELS` are read at a time: memory is bounded by the result, not by the box.

        Args:
            box: left, top, width and height in pixels of the full resolution, inside the slide; left and top
                are moved to whole pixels of the level, so that nothing is blurred where nothing is resized.
            size: height and width of the result.
        """
        level = self.best_level(min(box[2] / size[1], box[3] / size[0]))
        spans = []
        for axis, n_out in ((1, size[1]), (0, size[0])):
            full, length = self.size[axis], self.levels[level][axis]
            start, extent = box[1 - axis] * length / full, box[3 - axis] * length / full
            first = max(0, min(round(start), math.floor(length - extent)))
            scale = extent / n_out
            kept = math.isclose(extent, n_out, rel_tol=1e-9)
            margin = 0 if kept else math.ceil(_SUPPORT * max(scale, 1)) + 1
            low, high = max(0, first - margin), min(length, math.ceil(first + extent - 1e-9) + margin)
            spans.append((first - low, min(extent, length - first), low, high, scale))
        (left, width, x0, x1, x_scale), (top, height, y0, y1, y_scale) = spans
        n_read = (x1 - x0) * (y1 - y0)
        factor = max(1, int(min(x_scale, y_scale) / 2)) if n_read > BLOCK_PIXELS else 1
        pixels = self._shrunk(level, (x0, y0, x1, y1), factor)
        wanted = (left / factor, top / factor, (left + width) / factor, (top + height) / factor)
        return pixels.resize((size[1], size[0]), RESAMPLING, box=wanted)

    def _shrunk(self, level: int, box: tuple[int, int, int, int], factor: int) -> Image.Image:
        """Read a box of a level, averaged over squares of `factor` pixels, block by block."""
        x0, y0, x1, y1 = box
        if (x1 - x0) * (y1 - y0) <= BLOCK_PIXELS:
            return self._region(level, x0, y0, x1 - x0, y1 - y0).reduce(factor)
        whole = Image.new("RGB", (-(-(x1 - x0) // factor), -(-(y1 - y0) // factor)))
        step = max(1, math.isqrt(BLOCK_PIXELS) // factor) * factor
        for y in range(y0, y1, step):
            for x in range(x0, x1, step):
                block = self._region(level, x, y, min(step, x1 - x), min(step, y1 - y))
                whole.paste(block.reduce(factor), ((x - x0) // factor, (y - y0) // factor))
        return whole

    def _region(self, level: int, x: int, y: int, width: int, height: int) -> Image.Image:
        (full_height, full_width), (level_height, level_width) = self.size, self.levels[level]
        place = round(x * full_width / level_width), round(y * full_height / level_height)
        pixels: Image.Image = self.handle.read_region(place, level, (width, height))
        alpha = pixels.getchannel("A")
        if alpha.getextrema() == (255, 255):
            return pixels.convert("RGB")
        white = Image.new("RGB", pixels.size, "white")
        white.paste(pixels, mask=alpha)
        return white


@contextmanager
def opened_slide(path: Path) -> Iterator[Slide]:
    """Open a slide for the length of a `with` block.

    Raises:
        BadImage: if OpenSlide is not installed, or the slide cannot be opened or, in the block, read.
    """
    openslide = _openslide()
    try:
        with regular_file(path):
            pass
    except OSError as error:
        raise why_unusable(error) from error
    try:
        # not open_slide, which falls back to Pillow for any plain image
        with openslide.OpenSlide(path) as handle:
            yield Slide(
                path=path,
                vendor=one_line(handle.properties.get("openslide.vendor", "unknown")),
                levels=tuple((height, width) for width, height in handle.level_dimensions),
                mpp=own_mpp(handle.properties),
                quickhash=handle.properties.get("openslide.quickhash-1", ""),
                handle=handle,
            )
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise BadImage("no slide that OpenSlide can read") from error
    except openslide.OpenSlideError as error:
        raise BadImage(f"truncated or damaged: {one_line(str(error))[:120]}") from error


def _openslide() -> ModuleType:
    """Import OpenSlide only where a slide is met; it is an extra."""
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the Python part without the library
        raise BadImage("OpenSlide is not installed") from error
    return openslide
