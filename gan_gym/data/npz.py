"""An npz file in the form of MedMNIST as patches: plain arrays `train_images` and `train_labels`."""

from __future__ import annotations

import warnings
import zipfile

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from gan_gym.data.decoding import resize, to_rgb
from gan_gym.data.memory import room_for
from gan_gym.data.npy import ArrayFile
from gan_gym.data.patches import UNLABELLED, PatchSet
from gan_gym.data.report import DataError, DataReport, Loaded, OnBadImage, class_counts
from gan_gym.data.sizes import resizing_notes, size_text
from gan_gym.names import one_line

IMAGES, LABELS = "train_images", "train_labels"


def load_npz(
    path: str,
    image_size: tuple[int, int],
    *,
    on_bad_image: OnBadImage,
    progress: bool,
    max_patches: int | None,
    seed: int,
) -> Loaded:
    """Load the patches of an npz file.

    `train_images` is `(N, H, W, 3)` uint8 of any size; `train_labels`, which may be missing, holds integers,
    `(N,)` or `(N, 1)`. Images are read one after the other straight from the file: memory holds the resized
    ones only. Pickled objects are never loaded. Each patch is a group of its own. Arguments as in
    `gan_gym.data.folder.load_folder`.

    Raises:
        DataError: if the file is no such npz file, or its images are greyscale or have an alpha channel,
            which only `on_bad_image="convert"` accepts.
    """
    name = one_line(path)
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, on headers written by Python 2
            images = _open_images(archive, name, convert=on_bad_image == "convert")
            labels = _read_labels(archive, name, images.shape[0])
            return _load(images, labels, name, image_size, progress, max_patches, seed)
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"no permission to read {name}; allow reading with chmod +r") from error
    except (
        Exception
    ) as error:  # hostile bytes raise nearly anything in zipfile, zlib and numpy's header parser
        raise DataError(
            f"{name} is damaged or no npz file ({one_line(str(error)) or type(error).__name__}); "
            "save it again with numpy.savez"
        ) from error


def _open_images(archive: zipfile.ZipFile, name: str, convert: bool) -> ArrayFile:
    members = archive.namelist()
    if IMAGES + ".npy" not in members:
        held = ", ".join(one_line(member.removesuffix(".npy")) for member in members[:8]) or "nothing"
        raise DataError(
            f"{name} has no array {IMAGES!r} (it holds: {held}); use numpy.savez(path, {IMAGES}=images)"
        )
    images = ArrayFile(archive, IMAGES, name)
    channels = images.shape[3] if len(images.shape) == 4 else 1
    if images.dtype != np.uint8 or len(images.shape) not in (3, 4) or channels not in (1, 3, 4):
        raise DataError(
            f"the array {IMAGES!r} in {name} is {images.dtype} of shape {images.shape}, "
            "but uint8 of shape (N, H, W, 3) is needed; save 8-bit RGB images, channels last"
        )
    if channels != 3 and not convert:
        colours = "greyscale" if channels == 1 else "RGBA (alpha channel)"
        raise DataError(
            f"the images in {name} are {colours}; use --on_bad_image convert, or save them as RGB"
        )
    return images


def _read_labels(archive: zipfile.ZipFile, name: str, n_images: int) -> np.ndarray | None:
    if LABELS + ".npy" not in archive.namelist():
        return None
    labels = ArrayFile(archive, LABELS, name)
    if labels.dtype.kind not in "iub" or labels.shape not in ((n_images,), (n_images, 1)):
        raise DataError(
            f"the array {LABELS!r} in {name} is {labels.dtype} of shape {labels.shape}, but one integer for "
            f"each of the {n_images} images is needed; save one class an image, or leave the labels out"
        )
    return labels.whole().reshape(n_images)


def _load(
    source: ArrayFile,
    labels: np.ndarray | None,
    name: str,
    image_size: tuple[int, int],
    progress: bool,
    max_patches: int | None,
    seed: int,
) -> Loaded:
    n, height, width = source.shape[:3]
    notes = resizing_notes((height, width), image_size)
    n_kept = n if max_patches is None else min(n, max_patches)
    images = room_for(n_kept, image_size)
    if n_kept < n:
        chosen = np.sort(np.random.default_rng(seed).choice(n, n_kept, replace=False))
        notes.append(f"{n_kept} of {n} images were drawn at random (max_patches)")
    else:
        chosen = np.arange(n)
    bar = tqdm(chosen.tolist(), "loading patches", disable=not progress, delay=2, leave=False, unit="image")
    for row, pixels in enumerate(source.items(bar)):
        grey = pixels.ndim == 3 and pixels.shape[2] == 1
        images[row] = resize(to_rgb(Image.fromarray(pixels[:, :, 0] if grey else pixels)), image_size)
    classes: tuple[str, ...] = (UNLABELLED,)
    numbers = np.zeros(n_kept, np.int64)
    if labels is not None:
        values, every = np.unique(labels, return_inverse=True)
        classes, numbers = tuple(str(value) for value in values.tolist()), every[chosen].astype(np.int64)
    patches = PatchSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(numbers),
        groups=torch.arange(n_kept),
        classes=classes,
    )
    report = DataReport(
        source=name,
        kind="npz",
        n_images=n,
        n_used=n_kept,
        n_patches=n_kept,
        n_groups=n_kept,
        classes=class_counts(patches),
        sizes={size_text((height, width)): n_kept},
        warnings=tuple(notes),
    )
    return Loaded(patches, report)
