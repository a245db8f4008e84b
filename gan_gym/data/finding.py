"""Which files below a folder are images, and what to say where there are none."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from pathlib import Path

from gan_gym.data.report import DataError
from gan_gym.data.slide_files import SLIDE_SUFFIXES
from gan_gym.names import one_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", *SLIDE_SUFFIXES)
"""File names that count as images, in any case of letters."""


def find_images(folder: str) -> list[str]:
    """List the images below `folder` as paths relative to it with forward slashes, sorted part by part.

    Hidden files and folders, `__MACOSX` and files that are no images by their name are ignored; links are
    followed, each folder once. A `grid.png` beside a folder `patches` is the overview that `gan-gym generate`
    writes, and ignored too.

    Raises:
        DataError: if there are none, or a folder cannot be read.
    """
    found: list[tuple[str, ...]] = []
    others: Counter[str] = Counter()
    seen: set[str] = set()
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        here = os.path.join(folder, *parts)
        if os.path.realpath(here) in seen:
            continue
        seen.add(os.path.realpath(here))
        names = _names(here)
        for name in names:
            if name.startswith(".") or name == "__MACOSX" or (name == "grid.png" and "patches" in names):
                continue
            if os.path.isdir(os.path.join(here, name)):
                waiting.append((*parts, name))
            elif os.path.splitext(name)[1].lower() in SUFFIXES:
                found.append((*parts, name))
            else:
                others[os.path.splitext(name)[1].lower() or "no extension"] += 1
    if not found:
        held = ", ".join(f"{count} {one_line(suffix)}" for suffix, count in others.most_common(3))
        raise DataError(
            f"no PNG, JPEG or TIFF images and no slides in {one_line(folder)} or below "
            f"(found: {held or 'nothing'}); give a folder of image patches, slides, or an .npz file"
        )
    return ["/".join(parts) for parts in sorted(found)]


def check_exists(source: str) -> None:
    """Raise `DataError` where `source` cannot be reached; the nearest name beside it is suggested."""
    try:
        os.stat(source)
    except PermissionError as error:
        raise DataError(f"no permission to look at {one_line(source)}; allow reading with chmod") from error
    except (OSError, ValueError) as error:
        folder, name = os.path.split(os.path.normpath(source))
        try:
            beside = os.listdir(folder or ".")
        except OSError:
            beside = []
        near = difflib.get_close_matches(name, beside, n=1)
        hint = f"did you mean {one_line(os.path.join(folder, near[0]))}?" if near else "check the path"
        raise DataError(f"the data path {one_line(source)!r} does not exist; {hint}") from error


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(
            f"cannot read the folder {one_line(folder)} ({error.strerror}); allow reading or move it"
        ) from error


def class_labels(names: list[str]) -> tuple[tuple[str, ...], list[int]] | None:
    """Read the class of each image from the first folder level.

    Returns:
        The sorted class names and an index into them for each image; `None` where an image lies directly in
        the folder, so that there are no classes.
    """
    folders = [Path(name).parts[0] if "/" in name else "" for name in names]
    if not names or "" in folders:
        return None
    numbers = {name: number for number, name in enumerate(sorted(set(folders)))}
    return tuple(one_line(name) for name in numbers), [numbers[name] for name in folders]
