"""What was found in the user's data: the report, and the error when it cannot be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gan_gym.data.patches import PatchSet

OnBadImage = Literal["skip", "fail", "convert"]
"""What happens to an image that is no plain 8-bit RGB image of the common size."""
Purpose = Literal["train", "compare"]
"""What patches are needed for."""
Kind = Literal["patches", "regions", "slides", "npz", "embedded"]
"""Where the patches come from."""

REMEDIES = {
    "greyscale": "convert",
    "alpha channel": "convert",
    "palette": "convert",
    "16-bit": "convert",
    "CMYK": "convert",
    "other colours": "convert",
    "other size": "convert",
    "mixed sizes": "give images of one size, or resize them all with --on_bad_image convert",
    "32-bit": "save them as 8-bit RGB",
    "truncated or damaged": "copy the files again from where they came",
    "empty file": "copy the files again from where they came",
    "no PNG, JPEG or TIFF image inside": "remove the files, or save them as PNG",
    "beyond the pixel limit": "cut the images into smaller regions, or save them as pyramidal TIFF",
    "no read permission": "allow reading with chmod +r",
    "not a regular file": "remove them",
    "too small for a region": "keep patches and whole regions in separate folders",
    "no tissue": "give slides or regions that hold tissue",
    "slide among other images": "keep slides in a folder of their own",
    "no slide": "keep slides in a folder of their own",
    "OpenSlide is not installed": "pip install 'gan-gym[wsi]'",
    "no slide that OpenSlide can read": "copy the files again, or save them as pyramidal TIFF",
    "no pyramid": "save them as pyramidal TIFF (vips tiffsave --tile --pyramid)",
    "too small for a patch": "lower --image_size or --mpp",
}
"""What to do about each kind of unusable image; "convert" where `on_bad_image="convert"` makes it usable."""

PURPOSES: dict[Purpose, tuple[str, str]] = {
    "train": ("for a batch", "add images or lower --batch_size"),
    "compare": ("to compare", "add images"),
}
"""What patches are needed for, in words, and what to do where there are too few."""


class DataError(ValueError):
    """The user's data cannot be used: one line that names what, where and the remedy."""


class Unusable(NamedTuple):
    """An image that was left out, and why."""

    path: str
    """Path below the folder, as it can be printed on one line."""
    reason: str
    """A key of `REMEDIES`, followed by `: details` where there are any."""

    @property
    def category(self) -> str:
        """The reason without its details."""
        return self.reason.partition(":")[0]


class SlideFacts(NamedTuple):
    """What a slide that is used says of itself."""

    name: str
    """Path below the folder, as it can be printed on one line."""
    vendor: str
    """OpenSlide's name of the format."""
    size: tuple[int, int]
    """Height and width of the full resolution in pixels."""
    mpp: tuple[float, float] | None
    """Micrometres per pixel of the full resolution along x and y; `None` where it does not say."""
    n_levels: int
    """Levels of its pyramid."""


@dataclass(frozen=True)
class DataReport:
    """What was found, what is used, and why the rest is not."""

    source: str
    """The path as the user gave it, or `embedded tissue`."""
    kind: Kind
    """Patches, regions or slides that patches are cut from, an npz file, or the embedded tissue."""
    n_images: int
    """Images found, usable or not."""
    n_used: int
    """Images whose pixels are used."""
    n_patches: int
    """Patches that came of them: more than `n_used` where they are cut from regions or slides."""
    n_groups: int
    """Slides, regions or patients that the patches come from; patches of unknown origin count one each."""
    classes: dict[str, int]
    """Number of patches of each class, in the order of the labels."""
    sizes: dict[str, int]
    """Number of used images of each size before resizing or cutting, `HxW`, the most frequent first."""
    unusable: tuple[Unusable, ...] = ()
    """The images that were left out."""
    warnings: tuple[str, ...] = ()
    """What the user should know though the data is usable; one line each."""
    slides: tuple[SlideFacts, ...] = ()
    """The slides that are used; none where the kind is another."""


@dataclass(frozen=True)
class Loaded:
    """Patches in memory and the report on where they came from."""

    patches: PatchSet
    """The patches, resized to the size asked for."""
    report: DataReport
    """What was found and what was left out."""


def class_counts(patches: PatchSet) -> dict[str, int]:
    """Return the number of patches of each class, in the order of the labels."""
    return {name: int((patches.labels == label).sum()) for label, name in enumerate(patches.classes)}


def require_enough(report: DataReport, needed: int, purpose: Purpose = "train") -> None:
    """Raise `DataError` where a report holds fewer patches than are `needed` for a purpose."""
    if report.n_patches >= needed:
        return
    needs, action = PURPOSES[purpose]
    if not report.unusable:
        raise DataError(
            f"{report.source} holds only {report.n_patches} patches, "
            f"and {needed} are needed {needs}; {action}"
        )
    category, count = Counter(entry.category for entry in report.unusable).most_common(1)[0]
    example = next(entry for entry in report.unusable if entry.category == category)
    gives = f"{report.n_used} of {report.n_images} images can be used"
    if report.n_patches != report.n_used:
        gives += f" and give {report.n_patches} patches"
    raise DataError(
        f"{report.source}: only {gives}, and {needed} are needed {needs}; most often: "
        f"{example.reason} ({count} of them, such as {example.path}); {remedy(category)}"
    )


def remedy(category: str) -> str:
    """Return what a user can do about images left out for `category`."""
    action = REMEDIES[category]
    return "use --on_bad_image convert, or replace the images" if action == "convert" else action
