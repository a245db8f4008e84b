"""The one door through which patches come in, wherever they come from.

Whatever the source, the rest of the package sees a `PatchSet`; a further kind of source is one more branch of
`_load`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from gan_gym.data.finding import check_exists
from gan_gym.data.folder import load_folder
from gan_gym.data.npz import load_npz
from gan_gym.data.report import (
    DataError,
    DataReport,
    Loaded,
    OnBadImage,
    Purpose,
    Unusable,
    class_counts,
    require_enough,
)
from gan_gym.data.resolution import Resolution
from gan_gym.data.sizes import parse_image_size, size_text
from gan_gym.data.tissue import tissue_patches
from gan_gym.names import one_line

__all__ = ["DataError", "DataReport", "Loaded", "OnBadImage", "Unusable", "inspect_data", "load_patches"]

EMBEDDED_PATCHES = 1024
"""Patches of embedded tissue where nothing else is asked for."""


def load_patches(
    source: str | Path | None,
    image_size: int | str | Sequence[int],
    *,
    min_patches: int = 64,
    purpose: Purpose = "train",
    on_bad_image: OnBadImage = "skip",
    progress: bool = False,
    max_patches: int | None = None,
    seed: int = 0,
    mpp: float = Resolution.mpp,
    slide_mpp: float | None = None,
    keep_copies: bool = False,
) -> Loaded:
    """Load patches from a folder, an npz file, or the embedded tissue.

    Patches from slides have `mpp` micrometres per pixel: they are read at the best level and resampled to it
    exactly. A slide's own resolution is, in this order, what OpenSlide reads of it, the physical size in an
    OME-TIFF, the TIFF resolution tags, 10 divided by the objective's power (each where it is plausible), then
    `slide_mpp`, and `mpp` itself, with a warning, where that is not given either.

    Args:
        source: folder of patches, regions or slides, `.npz` file, or `None` for the embedded tissue.
        image_size: one side, or height and width, of the patches in pixels (see `parse_image_size`).
        min_patches: fewest patches to be content with, usually the batch size; `max_patches` lowers it.
        purpose: what they are needed for, in the message where there are fewer: to train, or to compare.
        on_bad_image: what to do with images that are truncated, no 8-bit RGB, or of another size than most:
            `"skip"` leaves them out and lists them in the report; `"fail"` raises at the first; `"convert"`
            converts colours and sizes, and leaves out only what cannot be read.
        progress: show a bar on stderr where it takes longer than two seconds.
        max_patches: load at most so many, drawn at random by `seed`; `None` for all of them, but from slides
            for no more than `slide_reading.SLIDE_PATCHES`.
        seed: seed of that draw, and of the embedded tissue.
        mpp: micrometres per pixel of patches cut from slides.
        slide_mpp: micrometres per pixel of the full resolution of slides that do not say their own.
        keep_copies: keep images of a folder that are exact copies of others, as generated ones may be; they
            are left out by default, so that none is on both sides of a split.

    Raises:
        DataError: if the data cannot be used; one line that names what, where and the remedy.
        ValueError: if another argument is wrong.
    """
    size, resolution = parse_image_size(image_size), Resolution(mpp, slide_mpp)
    if min_patches < 1 or (max_patches is not None and max_patches < 1):
        raise ValueError(f"min_patches ({min_patches}) and max_patches ({max_patches}) must be at least 1")
    if on_bad_image not in get_args(OnBadImage):
        near = difflib.get_close_matches(str(on_bad_image), get_args(OnBadImage), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"unknown on_bad_image {on_bad_image!r}; {hint}Known: {', '.join(get_args(OnBadImage))}"
        )
    needed = min_patches if max_patches is None else min(min_patches, max_patches)
    if source is None:
        return _embedded(max_patches or max(EMBEDDED_PATCHES, needed), size, seed)
    loaded = _load(
        os.fspath(source), size, on_bad_image, progress, max_patches, seed, resolution, keep_copies
    )
    require_enough(loaded.report, needed, purpose)
    return loaded


def inspect_data(
    source: str | Path | None,
    image_size: int | str | Sequence[int] = 64,
    *,
    on_bad_image: OnBadImage = "skip",
    progress: bool = False,
    mpp: float = Resolution.mpp,
    slide_mpp: float | None = None,
    keep_copies: bool = False,
) -> DataReport:
    """Report what `load_patches` would find in `source`, without asking for a batch's worth.

    Every image is decoded, and of slides every patch that would be used, so that what the report calls usable
    is.

    Args:
        source: as in `load_patches`.
        image_size: as in `load_patches`; it decides whether large images are regions.
        on_bad_image: as in `load_patches`.
        progress: show a bar on stderr where it takes longer than two seconds.
        mpp: as in `load_patches`.
        slide_mpp: as in `load_patches`.
        keep_copies: as in `load_patches`.

    Raises:
        DataError: if there is nothing to report on: a path that is missing, unreadable or empty, or an npz
            file that cannot be used.
    """
    size, resolution = parse_image_size(image_size), Resolution(mpp, slide_mpp)
    if source is None:
        return _embedded(EMBEDDED_PATCHES, size, 0).report
    return _load(os.fspath(source), size, on_bad_image, progress, None, 0, resolution, keep_copies).report


def _load(
    source: str,
    image_size: tuple[int, int],
    on_bad_image: OnBadImage,
    progress: bool,
    max_patches: int | None,
    seed: int,
    resolution: Resolution,
    keep_copies: bool,
) -> Loaded:
    check_exists(source)
    load: Callable[..., Loaded]
    if os.path.isdir(source):
        load = partial(load_folder, resolution=resolution, keep_copies=keep_copies)
    elif source.lower().endswith(".npz"):
        load = load_npz
    else:
        raise DataError(
            f"{one_line(source)} is a file, but no .npz; give a folder of patches, regions or slides, or an "
            ".npz file"
        )
    return load(
        source, image_size, on_bad_image=on_bad_image, progress=progress, max_patches=max_patches, seed=seed
    )


def _embedded(n_patches: int, image_size: tuple[int, int], seed: int) -> Loaded:
    patches = tissue_patches(n_patches, image_size, seed)
    report = DataReport(
        source="embedded tissue",
        kind="embedded",
        n_images=len(patches),
        n_used=len(patches),
        n_patches=len(patches),
        n_groups=len(torch.unique(patches.groups)),
        classes=class_counts(patches),
        sizes={size_text(image_size): len(patches)},
    )
    return Loaded(patches, report)
