"""Which files of a folder are slides; nothing here needs OpenSlide."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from gan_gym.data.regions import REGION_SIDE

SLIDE_SUFFIXES = (".svs", ".svslide", ".ndpi", ".dcm", ".mrxs", ".scn", ".bif")
"""File names that count as slides, in any case of letters; a TIFF is looked into."""
SLIDE_PIXELS = 4096 * 4096
"""A tiled TIFF with more pixels is a slide even where it holds one level only."""

_WIDTH, _HEIGHT, _TILE_WIDTH, _SUB_IFDS = 256, 257, 322, 330
_BIG_TIFF = 43
_DICOM_HEAD = 1 << 18
_SERIES = re.compile(
    rb"\x20\x00\x0d\x00(?:UI..|.{4})[0-9.\x00]{0,65}\x20\x00\x0e\x00(?:UI..|.{4})([0-9.]{1,64})", re.DOTALL
)
"""The study's UID followed by the series': at the top level only, where the tags are sorted."""


@dataclass(frozen=True)
class SlideFile:
    """A slide, and the file by which it is opened."""

    name: str
    """Path below the folder; that of the file's own folder where a DICOM series has it for itself."""
    path: Path
    """What is opened."""


def part_slides(folder: str, names: list[str]) -> tuple[list[SlideFile], list[str]]:
    """Part the slides among images from the plain images.

    A slide is a file with one of `SLIDE_SUFFIXES`, or a TIFF in tiles with a pyramid or more than
    `SLIDE_PIXELS`. The files of a DICOM series in one folder are one slide.

    Args:
        folder: path as the user gave it.
        names: paths below it.

    Returns:
        Slides and plain images, each sorted as `names` are.
    """
    slides: list[SlideFile] = []
    plain: list[str] = []
    dicom: dict[PurePosixPath, list[str]] = {}
    for name in names:
        suffix = PurePosixPath(name).suffix.lower()
        path = Path(folder, name)
        if suffix == ".dcm":
            dicom.setdefault(PurePosixPath(name).parent, []).append(name)
        elif suffix in SLIDE_SUFFIXES or (suffix in (".tif", ".tiff") and _is_tiff_slide(path)):
            slides.append(SlideFile(name, path))
        else:
            plain.append(name)
    slides += _dicom_slides(
        folder, dicom, {PurePosixPath(name).parent for name in plain + [s.name for s in slides]}
    )
    return sorted(slides, key=lambda slide: slide.name.split("/")), plain


def _dicom_slides(
    folder: str, members: dict[PurePosixPath, list[str]], others: set[PurePosixPath]
) -> list[SlideFile]:
    """Make one slide of each series in a folder.

    Where it is alone there it has the folder's name, which says more than a UID. Folders at the top are
    classes, though, unless each of them is such a slide.

    Args:
        folder: path as the user gave it.
        members: DICOM files by the folder they lie in.
        others: folders that hold further images.
    """
    first: dict[PurePosixPath, list[str]] = {}
    for parent, names in members.items():
        series: dict[bytes, str] = {}
        for name in names:
            series.setdefault(_series(Path(folder, name)) or os.fsencode(name), name)
        first[parent] = list(series.values())
    alone = {parent for parent, names in first.items() if len(names) == 1 and parent not in others}
    classes = bool(others) or any(parent not in alone or len(parent.parts) != 1 for parent in first)
    named = {parent for parent in alone if len(parent.parts) > (1 if classes else 0)}
    return [
        SlideFile(str(parent) if parent in named else name, Path(folder, name))
        for parent, names in first.items()
        for name in names
    ]


def _is_tiff_slide(path: Path) -> bool:
    """Look into the first directory of a TIFF: Pillow's own opening refuses what is as large as a slide."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            header = file.read(8)
            if _BIG_TIFF in header[2:4]:
                header += file.read(8)
            tags = ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
        width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
    except Exception:  # hostile bytes raise nearly anything; what is no TIFF is explained where it is decoded
        return False
    if _TILE_WIDTH not in tags or min(width, height) < REGION_SIDE:
        return False
    return bool(tags.next) or _SUB_IFDS in tags or width * height > SLIDE_PIXELS


def _series(path: Path) -> bytes | None:
    """Return the series that a DICOM file belongs to, where it can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as file:
            found = _SERIES.search(file.read(_DICOM_HEAD))
    except OSError:
        return None
    return found[1] if found else None
