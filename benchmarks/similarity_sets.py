"""The data sets of the similarity benchmark, and how each is split without leakage."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from gan_gym.data.decoding import resize
from gan_gym.data.finding import class_labels, find_images
from gan_gym.data.groups import group_ids
from gan_gym.data.loading import load_patches
from gan_gym.data.patches import UNLABELLED, PatchSet
from gan_gym.data.sizes import parse_image_size
from gan_gym.data.tissue import tissue_patches

EMBEDDED = "embedded"
"""Name of the set that needs no folder."""
N_EMBEDDED, N_SLIDES = 4000, 64
"""Patches and drawn slides of the embedded set."""
MAX_PATCHES = 6000
"""Most patches read of a folder, drawn at random."""
HELD_OUT = 0.3
"""Share of the patches of a set that no model is fitted on."""

_COORDINATES = re.compile(r"\d+_idx\d+_x(\d+)_y(\d+)_class\d")
_CELL = 50  # px, the size and the grid of the IDC patches
_DENSE = 0.5  # share of a window's four cells that must be there


@dataclass(frozen=True)
class Split:
    """One seed's patches: to fit on and to measure on."""

    train: PatchSet
    """Patches, and regions where there are any, that models are fitted on."""
    test: PatchSet
    """Patches of slides or patients that are not in `train`."""


def load_set(name: str, image_size: int | str) -> PatchSet:
    """Load the set in folder `name`, or the embedded tissue.

    Where file names hold coordinates, as those of the IDC patches do, regions are reassembled from them.

    Raises:
        ValueError: if the folder cannot be used.
    """
    size = parse_image_size(image_size)
    if name == EMBEDDED:
        return tissue_patches(N_EMBEDDED, size, seed=0, n_regions=N_SLIDES)
    if os.path.isdir(name):
        names = find_images(name)
        if all(_COORDINATES.search(path) for path in names):
            return _with_regions(name, names, size)
    return load_patches(name, size, max_patches=MAX_PATCHES, progress=True).patches


def split_set(patches: PatchSet, seed: int, n_train: int, n_test: int) -> Split:
    """Split by slide or patient, and draw from both sides."""
    train, test = patches.split(HELD_OUT, seed)
    return Split(_draw(train, n_train, seed), _draw(test, n_test, seed))


def _with_regions(folder: str, names: list[str], size: tuple[int, int]) -> PatchSet:
    """Load patches whose names hold patient and coordinates, and reassemble regions of 2 × 2 patches.

    The published subset is sparse, so a window is dense enough when half of its cells are there; a cell that
    is missing mirrors a neighbour.
    """
    labelled = class_labels(names)
    classes, labels = labelled if labelled is not None else ((UNLABELLED,), [0] * len(names))
    groups = group_ids(names)
    images: list[Image.Image] = []
    cells: dict[int, dict[tuple[int, int], int]] = defaultdict(dict)
    for i, name in enumerate(tqdm(names, "loading patches", delay=2, leave=False)):
        with Image.open(Path(folder, name)) as opened:
            images.append(opened.convert("RGB").resize((_CELL, _CELL)))
        x, y = (int(number) // _CELL for number in _COORDINATES.findall(name)[0])
        cells[int(groups[i])][x, y] = i
    windows = [(group, window) for group in cells for window in _windows(cells[group])]
    known = torch.tensor(labels)
    members = [[i for i in window if i is not None] for _, window in windows]
    return PatchSet(
        images=torch.from_numpy(np.stack([resize(image, size) for image in images])),
        labels=known,
        groups=groups,
        classes=classes,
        regions=torch.from_numpy(np.stack([_overview(images, window, size) for _, window in windows])),
        region_labels=torch.tensor([int(torch.mode(known[group]).values) for group in members]),
        region_groups=torch.tensor([group for group, _ in windows]),
    )


Window = tuple[int | None, int | None, int | None, int | None]
"""The patches at top left, top right, bottom left and bottom right."""


def _windows(cells: dict[tuple[int, int], int]) -> list[Window]:
    """Return the dense windows of one patient, the fullest first; none share a patch."""
    left = dict(cells)
    found: list[Window] = []
    for n_needed in range(4, math.ceil(4 * _DENSE) - 1, -1):
        for x, y in [(x - i, y - j) for x, y in sorted(cells) for j in (0, 1) for i in (0, 1)]:
            places = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)]
            if sum(place in left for place in places) >= n_needed:
                a, b, c, d = (left.pop(place, None) for place in places)
                found.append((a, b, c, d))
    return found


def _overview(images: list[Image.Image], window: Window, size: tuple[int, int]) -> np.ndarray:
    canvas = Image.new("RGB", (2 * _CELL, 2 * _CELL))
    for place in range(4):
        source = next(place ^ step for step in (0, 1, 2, 3) if window[place ^ step] is not None)
        cell = images[window[source] or 0]
        if (source ^ place) & 1:
            cell = cell.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if (source ^ place) & 2:
            cell = cell.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        canvas.paste(cell, (_CELL * (place & 1), _CELL * (place >> 1)))
    return resize(canvas, size)


def _draw(patches: PatchSet, n: int, seed: int) -> PatchSet:
    order = torch.randperm(len(patches), generator=torch.Generator().manual_seed(seed))[:n]
    return patches.subset(order)
