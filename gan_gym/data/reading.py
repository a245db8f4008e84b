"""One pass over the images of a folder: which are usable, and the patches that come of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from gan_gym.data.decoding import BadImage, decode, read_header, resize
from gan_gym.data.memory import check_room, room_for
from gan_gym.data.regions import REGION_RATIO, REGION_SIDE, cut_patches, overview
from gan_gym.data.report import DataError, OnBadImage, Unusable, remedy
from gan_gym.data.sizes import resizing_notes, size_text
from gan_gym.names import one_line

Item = TypeVar("Item")


@dataclass
class Taken:
    """The images that are used, and the patches that came of them."""

    names: list[str]
    sizes: list[tuple[int, int]]
    images: np.ndarray
    """`(P, 3, H, W)` uint8."""
    origin: np.ndarray
    """`(P,)`, an index into `names`."""
    overviews: np.ndarray | None = None
    """`(len(names), 3, H, W)` uint8."""


@dataclass
class Reading:
    """One pass over a folder: what was asked for, and what turned out unusable so far."""

    folder: str
    image_size: tuple[int, int]
    on_bad_image: OnBadImage
    progress: bool
    rng: np.random.Generator
    keep_copies: bool
    unusable: list[Unusable] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def convert(self) -> bool:
        """Whether colours and sizes are converted."""
        return self.on_bad_image == "convert"

    def headers(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """Return the sizes of the images that look usable; copies are left out unless they are to be kept."""
        sizes: dict[str, tuple[int, int]] = {}
        seen: set[bytes] = set()
        copies: list[str] = []
        for name in self.bar(names, "checking images"):
            try:
                header = read_header(Path(self.folder, name), self.convert)
            except BadImage as error:
                self.refuse(name, str(error))
                continue
            if header.digest in seen:
                copies.append(name)
                if not self.keep_copies:
                    continue
            seen.add(header.digest)
            sizes[name] = header.size
        if copies:
            become = "kept" if self.keep_copies else "left out"
            self.warnings.append(
                f"exact copies of other images are {become}: {len(copies)}, such as {one_line(copies[0])}"
            )
        return sizes

    def patches(self, names: list[str], max_patches: int | None) -> Taken:
        """Resize each image to one patch."""
        if max_patches is not None and len(names) > max_patches:
            self.warnings.append(f"{max_patches} of {len(names)} images were drawn at random (max_patches)")
            names = [names[i] for i in np.sort(self.rng.choice(len(names), max_patches, replace=False))]
        images = room_for(len(names), self.image_size)
        sizes: dict[int, tuple[int, int]] = {}
        for i, name in enumerate(self.bar(names, "loading patches")):
            image = self._decode(name)
            if image is not None:
                images[i] = resize(image, self.image_size)
                sizes[i] = image.height, image.width
        kept = list(sizes) if self.convert else self._of_one_size(names, sizes)
        used = [sizes[i] for i in kept]
        if used:
            self.warnings.extend(resizing_notes(Counter(used).most_common(1)[0][0], self.image_size))
        if len(kept) < len(images):
            images = images[kept]
        return Taken([names[i] for i in kept], used, images, np.arange(len(kept)))

    def regions(self, names: list[str], large: set[str], max_patches: int | None) -> Taken:
        """Cut patches from each region; `max_patches` are drawn as they come, which bounds the memory.

        Raises:
            DataError: as soon as the patches take more than `MEMORY_LIMIT`.
        """
        used: list[str] = []
        sizes: list[tuple[int, int]] = []
        overviews = room_for(len(large), self.image_size)
        batches = [room_for(0, self.image_size)]
        origin, keys = np.empty(0, np.int64), np.empty(0)
        n_cut = 0
        for name in self.bar(names, "cutting patches"):
            if name not in large:
                self.refuse(
                    name, f"too small for a region: shorter than {REGION_SIDE} px or {REGION_RATIO} patches"
                )
                continue
            image = self._decode(name)
            if image is None:
                continue
            cut = cut_patches(image, self.image_size)
            if len(cut) == 0:
                self.refuse(name, "no tissue: background only")
                continue
            overviews[len(used)] = overview(image, self.image_size)
            origin = np.concatenate([origin, np.full(len(cut), len(used))])
            used.append(name)
            sizes.append((image.height, image.width))
            n_cut += len(cut)
            n_wanted = n_cut if max_patches is None else min(n_cut, max_patches)
            check_room(n_wanted, self.image_size, "give fewer images")  # smaller ones are only more
            batches.append(cut)
            keys = np.concatenate([keys, self.rng.random(len(cut))])
            if max_patches is not None and len(keys) > 2 * max_patches:  # seldom: all that is held is copied
                batches, origin, keys = _drawn(batches, origin, keys, max_patches)
        if max_patches is not None and len(keys) > max_patches:
            batches, origin, keys = _drawn(batches, origin, keys, max_patches)
        images = np.concatenate(batches)
        if len(images) < n_cut:
            self.warnings.append(f"{len(images)} of {n_cut} patches were drawn at random (max_patches)")
        return Taken(used, sizes, images, origin, overviews[: len(used)])

    def refuse(self, name: str, reason: str) -> None:
        """Leave an image out, or raise where that is not wanted."""
        entry = Unusable(one_line(name), reason)
        if self.on_bad_image == "fail":
            raise DataError(
                f"{one_line(os.path.join(self.folder, name))} cannot be used: {reason}; "
                f"{remedy(entry.category)}, or leave such images out with --on_bad_image skip"
            )
        self.unusable.append(entry)

    def _decode(self, name: str) -> Image.Image | None:
        try:
            return decode(Path(self.folder, name), self.convert)
        except BadImage as error:
            self.refuse(name, str(error))
            return None

    def _of_one_size(self, names: list[str], sizes: dict[int, tuple[int, int]]) -> list[int]:
        counts = Counter(sizes.values()).most_common()
        if not counts:
            return []
        common, count = counts[0]
        if count * 2 <= len(sizes):
            listed = ", ".join(f"{size_text(size)} ({n})" for size, n in counts[:3])
            for i in sizes:
                self.refuse(names[i], f"mixed sizes: none holds more than half, {listed}")
            return []
        for i, size in sizes.items():
            if size != common:
                self.refuse(names[i], f"other size: {size_text(size)} where most are {size_text(common)}")
        return [i for i, size in sizes.items() if size == common]

    def bar(self, items: Iterable[Item], what: str, *, unit: str = "image") -> tqdm[Item]:
        """Show progress on stderr where that is wanted and takes longer than two seconds."""
        return tqdm(items, what, disable=not self.progress, delay=2, leave=False, unit=unit)


def _drawn(
    batches: list[np.ndarray], origin: np.ndarray, keys: np.ndarray, n: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Return the patches with the n lowest keys, in their order, as one batch."""
    kept = np.sort(np.argsort(keys)[:n])
    return [np.concatenate(batches)[kept]], origin[kept], keys[kept]
