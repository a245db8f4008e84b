"""A first look at the slides of a folder: which are usable, and where they hold tissue."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from gan_gym.data.decoding import BadImage
from gan_gym.data.overviews import OVERVIEW_SIDE, slide_overview
from gan_gym.data.reading import Reading
from gan_gym.data.regions import overview
from gan_gym.data.report import SlideFacts
from gan_gym.data.resolution import Resolution
from gan_gym.data.sizes import size_text
from gan_gym.data.slide_files import SlideFile
from gan_gym.data.slide_places import TissueGrid, tissue_places
from gan_gym.data.slides import Slide, opened_slide
from gan_gym.data.tissue_mask import slide_tissue
from gan_gym.names import one_line


@dataclass(frozen=True)
class Surveyed:
    """A usable slide, closed again; it holds no more than its overview and its mask."""

    file: SlideFile
    """Where it lies."""
    facts: SlideFacts
    """What it says of itself."""
    mpp: tuple[float, float]
    """Micrometres per pixel of the full resolution along x and y that it is taken to have."""
    cell: tuple[float, float]
    """Height and width of a patch in pixels of the full resolution."""
    overview: np.ndarray
    """`(3, H, W)` uint8."""
    mask: np.ndarray
    """The tissue on a larger overview, packed to bits."""
    mask_shape: tuple[int, int]
    """Height and width of the mask."""
    n_places: int
    """Places that patches can be cut at."""

    def grid(self) -> TissueGrid:
        """Return these places; they are found again, since kept they would take more room than the mask."""
        height, width = self.mask_shape
        mask = np.unpackbits(self.mask, count=height * width).reshape(height, width)
        return tissue_places(mask, self.facts.size, self.cell)


def survey(reading: Reading, files: list[SlideFile], resolution: Resolution) -> list[Surveyed]:
    """Open each slide once and find its tissue; copies and unusable slides are left out.

    Args:
        reading: what was asked for; unusable slides and a warning on copies are added to it.
        files: the slides.
        resolution: micrometres per pixel of the patches, and of slides that do not say their own.
    """
    found: list[Surveyed] = []
    copies: list[str] = []
    seen: dict[tuple[int, str], list[Path]] = {}
    digest = cache(_digest)  # whole slides are hashed only where size and OpenSlide's hash agree
    for file in reading.bar(files, "looking at slides", unit="slide"):
        try:
            with opened_slide(file.path) as slide:
                alike = seen.setdefault((file.path.stat().st_size, slide.quickhash), [])
                if alike and digest(file.path) in map(digest, alike):
                    copies.append(file.name)
                    continue
                found.append(_examine(slide, file, reading.image_size, resolution))
                alike.append(file.path)
        except BadImage as error:
            reading.refuse(file.name, str(error))
    if copies:
        reading.warnings.append(
            f"exact copies of other slides are left out: {len(copies)}, such as {one_line(copies[0])}"
        )
    return found


def _examine(slide: Slide, file: SlideFile, image_size: tuple[int, int], resolution: Resolution) -> Surveyed:
    unsaid = resolution.slide_mpp or resolution.mpp
    mpp = slide.mpp or (unsaid, unsaid)
    cell = image_size[0] * resolution.mpp / mpp[1], image_size[1] * resolution.mpp / mpp[0]
    if cell[0] > slide.size[0] or cell[1] > slide.size[1]:
        raise BadImage(
            f"too small for a patch: {size_text(slide.size)} px of {mpp[0]:.3g} µm, where a patch of "
            f"{size_text(image_size)} px of {resolution.mpp:g} µm takes {cell[0]:.0f}x{cell[1]:.0f}"
        )
    whole = slide_overview(slide, max(OVERVIEW_SIDE, *image_size))
    mask = slide_tissue(whole)
    n_places = len(tissue_places(mask, slide.size, cell))
    if n_places == 0:
        raise BadImage("no tissue: background only")
    return Surveyed(
        file=file,
        facts=SlideFacts(one_line(file.name), slide.vendor, slide.size, slide.mpp, len(slide.levels)),
        mpp=mpp,
        cell=cell,
        overview=overview(whole, image_size),
        mask=np.packbits(mask),
        mask_shape=(mask.shape[0], mask.shape[1]),
        n_places=n_places,
    )


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
