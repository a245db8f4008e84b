"""The embedded data set: procedural H&E tissue, labelled, deterministic by seed, nothing to download.

Regions are drawn as a histologist would describe them (compartments, their cells, their nuclei) in
concentrations of hematoxylin and eosin, and coloured by the Beer-Lambert law with a stain that differs from
slide to slide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from gan_gym.data.histology.canvas import Canvas
from gan_gym.data.histology.compartments import draw_compartments
from gan_gym.data.histology.cutting import balanced, pure_windows
from gan_gym.data.histology.noise import smooth_noise
from gan_gym.data.histology.painters import PAINTERS
from gan_gym.data.histology.stains import StainProfile
from gan_gym.data.patches import PatchSet
from gan_gym.data.sizes import parse_image_size

TISSUE_CLASSES: tuple[str, ...] = tuple(PAINTERS)
"""Names of the tissue classes; a label is an index into them."""

BACKGROUND = len(TISSUE_CLASSES)
"""Label of bare glass in a region's class map; no patch carries it."""

_MIN_SIZE, _MAX_SIZE = 64, 4096
_MAX_PATCH = 512


@dataclass(frozen=True)
class Region:
    """A drawn part of a slide."""

    image: NDArray[np.uint8]
    """`(H, H, 3)` RGB."""
    labels: NDArray[np.uint8]
    """`(H, H)` index into `TISSUE_CLASSES`, or `BACKGROUND`."""


def render_region(seed: int, size: int = 512, main_class: int | None = None, compartment: int = 80) -> Region:
    """Draw a region of a slide: several tissues in compartments, one of them dominant.

    Args:
        seed: everything in the region follows from it, its stain included; not negative.
        size: height and width in pixels; the magnification is fixed, a nucleus is 5 to 8 pixels across.
        main_class: index of the dominant tissue in `TISSUE_CLASSES`; drawn if `None`.
        compartment: width of a compartment in pixels.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check("seed", seed, 0, 2**63 - 1)
    _check("size", size, _MIN_SIZE, _MAX_SIZE)
    _check("compartment", compartment, 16, _MAX_SIZE)
    if main_class is not None:
        _check("main_class", main_class, 0, BACKGROUND - 1)
    layout, stain, shared, *painters = np.random.default_rng(seed).spawn(3 + BACKGROUND)
    main = int(layout.integers(BACKGROUND)) if main_class is None else main_class
    places = draw_compartments(
        layout, size, compartment, main=main, glass=BACKGROUND, seam=TISSUE_CLASSES.index("stroma")
    )
    canvas = Canvas(shared, places.labels)
    for label, (name, rng) in enumerate(zip(TISSUE_CLASSES, painters, strict=True)):
        share = places.share(label)
        mask = share > 0
        if mask.any():
            canvas.rng = rng
            PAINTERS[name](canvas, label, mask, share[mask])
    thickness = np.clip(1 + np.float32(0.07) * smooth_noise(stain, size, 70.0), 0.75, 1.25)
    behind = 1 - np.float32(0.6) * np.clip(canvas.nuclei, 0, 1)
    hematoxylin = (canvas.hematoxylin * behind + canvas.nuclei) * thickness
    image = StainProfile.draw(stain).develop(stain, hematoxylin, canvas.eosin * behind * thickness)
    return Region(image, places.labels)


def tissue_patches(
    n_patches: int = 2048, image_size: int | tuple[int, int] = 32, seed: int = 0, n_regions: int = 24
) -> PatchSet:
    """Draw regions and cut labelled patches from them, about as many of each class.

    A patch is a field of `image_size` pixels at the regions' own magnification, so that a nucleus is 5 to 8
    pixels across whatever the size. It carries the class that fills at least 60 % of it; its group is the
    index of its region. Patches may overlap, and no two are the same.

    Args:
        n_patches: number of patches.
        image_size: height and width of a patch in pixels, or one number for both; multiples of 8 up to 512.
        seed: everything follows from it; not negative.
        n_regions: number of regions, each with a stain and a dominant tissue of its own.

    Raises:
        ValueError: if an argument is out of range, or if the regions hold fewer distinct patches than asked.
    """
    _check("n_patches", n_patches, 1, 10**6)
    _check("seed", seed, 0, 2**63 - 1)
    _check("n_regions", n_regions, 1, 4096)
    height, width = parse_image_size(image_size)
    longest = max(height, width)
    if longest > _MAX_PATCH:
        raise ValueError(
            f"image_size={image_size!r} is too large for drawn tissue; sides are 8 to {_MAX_PATCH}"
        )
    size, compartment = max(320, 5 * longest), max(80, 3 * longest // 2)
    rng, *streams = np.random.default_rng(seed).spawn(1 + n_regions)
    turns = np.concatenate([rng.permutation(BACKGROUND) for _ in range(n_regions // BACKGROUND + 1)])
    regions = [
        render_region(int(stream.integers(2**63)), size, int(main), compartment)
        for stream, main in zip(streams, turns[:n_regions], strict=True)
    ]
    windows = [pure_windows(region.labels, height, width, BACKGROUND) for region in regions]
    group = np.repeat(np.arange(n_regions), [len(found) for found in windows])
    if n_patches > len(group):
        raise ValueError(
            f"n_patches={n_patches} is more than the {len(group)} patches in n_regions={n_regions} regions; "
            "lower n_patches or raise n_regions"
        )
    row, col, label = np.concatenate(windows).T
    chosen = balanced(rng, label, n_patches)
    cut = np.empty((n_patches, height, width, 3), np.uint8)
    for i, k in enumerate(chosen):
        cut[i] = regions[group[k]].image[row[k] : row[k] + height, col[k] : col[k] + width]
    return PatchSet(
        images=torch.from_numpy(cut).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(label[chosen]),
        groups=torch.from_numpy(group[chosen]),
        classes=TISSUE_CLASSES,
        regions=torch.stack([_overview(region.image, height, width) for region in regions]),
        region_labels=torch.tensor([_most_frequent(region.labels) for region in regions]),
        region_groups=torch.arange(n_regions),
    )


def _overview(image: NDArray[np.uint8], height: int, width: int) -> Tensor:
    """Resize `(H, H, 3)` to `(3, height, width)` uint8 by averaging areas."""
    whole = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return interpolate(whole, (height, width), mode="area")[0].round().to(torch.uint8)


def _most_frequent(labels: NDArray[np.uint8]) -> int:
    """Return the tissue that covers most of a class map."""
    return int(np.bincount(labels.ravel(), minlength=BACKGROUND)[:BACKGROUND].argmax())


def _check(name: str, value: int, low: int, high: int) -> None:
    """Raise unless `value` is a whole number in `[low, high]`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
