"""A folder of the user's images as patches: found, checked, decoded, labelled."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import torch

from gan_gym.data.finding import class_labels, find_images
from gan_gym.data.groups import group_ids
from gan_gym.data.patches import UNLABELLED, PatchSet
from gan_gym.data.reading import Reading, Taken
from gan_gym.data.regions import is_region
from gan_gym.data.report import (
    DataReport,
    Kind,
    Loaded,
    OnBadImage,
    SlideFacts,
    class_counts,
)
from gan_gym.data.resolution import Resolution
from gan_gym.data.sizes import size_text
from gan_gym.data.slide_files import SlideFile, part_slides
from gan_gym.data.slide_reading import read_slides
from gan_gym.names import one_line


def load_folder(
    folder: str,
    image_size: tuple[int, int],
    *,
    on_bad_image: OnBadImage,
    progress: bool,
    max_patches: int | None,
    seed: int,
    resolution: Resolution,
    keep_copies: bool,
) -> Loaded:
    """Load the images below a folder, however few of them are usable.

    The class of an image is the first folder below `folder`; its group comes from its name (see `groups`).
    Where at least half of the images are slides (see `slide_files`), patches are cut from these alone, at the
    resolution asked for. Otherwise, where more than half are regions (see `regions`), patches are cut from
    them. Otherwise each image is resized to one patch, and those that differ in size from most are left out,
    for mixed sizes mix magnifications.

    Args:
        folder: path as the user gave it.
        image_size: height and width of a patch.
        on_bad_image: leave unusable images out, refuse them, or convert colours and sizes.
        progress: show a bar where it takes longer than two seconds.
        max_patches: keep at most so many, drawn at random by `seed`.
        seed: seed of that draw.
        resolution: micrometres per pixel of patches cut from slides.
        keep_copies: count images that are exact copies of others; of slides they never do.

    Raises:
        DataError: if the folder cannot be read or holds no images, or one is unusable and `on_bad_image` is
            `"fail"`.
    """
    names = find_images(folder)
    reading = Reading(folder, image_size, on_bad_image, progress, np.random.default_rng(seed), keep_copies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, on large images and odd metadata; the limits are ours
        slides, plain = part_slides(folder, names)
        names = sorted([slide.name for slide in slides] + plain)
        kind, taken, facts = _read(reading, slides, plain, resolution, max_patches)
    patches, doubts = _join(taken, names, of_slides=kind == "slides")
    report = DataReport(
        source=one_line(folder),
        kind=kind,
        n_images=len(names),
        n_used=len(taken.names),
        n_patches=len(patches),
        n_groups=len(torch.unique(patches.groups)),
        classes=class_counts(patches),
        sizes={size_text(size): count for size, count in Counter(taken.sizes).most_common()},
        unusable=tuple(sorted(reading.unusable)),
        warnings=(*reading.warnings, *doubts),
        slides=facts,
    )
    return Loaded(patches, report)


def _read(
    reading: Reading,
    slides: list[SlideFile],
    plain: list[str],
    resolution: Resolution,
    max_patches: int | None,
) -> tuple[Kind, Taken, tuple[SlideFacts, ...]]:
    """Settle what the folder holds, and read it as that; what is of another kind is left out."""
    if slides and len(slides) >= len(plain):
        for name in plain:
            reading.refuse(name, "no slide: a plain image among slides")
        return "slides", *read_slides(reading, slides, resolution, max_patches)
    for slide in slides:
        reading.refuse(slide.name, "slide among other images")
    headers = reading.headers(plain)
    large = [name for name, size in headers.items() if is_region(size, reading.image_size)]
    if len(large) * 2 > len(headers):
        return "regions", reading.regions(list(headers), set(large), max_patches), ()
    return "patches", reading.patches(list(headers), max_patches), ()


def _join(taken: Taken, names: list[str], *, of_slides: bool) -> tuple[PatchSet, list[str]]:
    """Join patches with their classes and groups; the second is what looks wrong with these.

    Args:
        taken: the images that are used.
        names: all images that were found.
        of_slides: whether they are slides, of which a folder each is no class.
    """
    doubts: list[str] = []
    read = class_labels(taken.names)
    classes, numbers = read if read is not None else ((UNLABELLED,), [0] * len(taken.names))
    n_nested = sum("/" in name for name in taken.names)
    if read is None and n_nested:
        doubts.append(
            f"no classes are read: {n_nested} images lie in sub-folders, but {len(taken.names) - n_nested} "
            "beside them; move those into class folders too"
        )
    elif read is not None:
        found = {one_line(name.partition("/")[0]) for name in names if "/" in name}
        doubts.extend(f"no image of class {name} is used" for name in sorted(found.difference(classes)))
    labels = torch.tensor(numbers, dtype=torch.int64)
    groups = group_ids(taken.names)
    n_groups = len(torch.unique(groups))
    n_pairs = len(torch.unique(torch.stack([groups, labels]), dim=1).T)
    alone = 1 < len(classes) == n_groups == n_pairs
    if alone and (of_slides or n_groups < len(taken.names)):
        doubts.append(
            "each class folder holds one patient or slide; if they are patients, put class folders above them"
        )
    if n_groups == 1 < len(taken.names):
        doubts.append("all images come from one patient or slide, so none can be held out for testing")
    origin = torch.from_numpy(taken.origin)
    has_regions = taken.overviews is not None
    patches = PatchSet(
        images=torch.from_numpy(taken.images),
        labels=labels[origin],
        groups=groups[origin],
        classes=classes,
        regions=None if taken.overviews is None else torch.from_numpy(taken.overviews),
        region_labels=labels if has_regions else None,
        region_groups=groups if has_regions else None,
    )
    return patches, doubts
