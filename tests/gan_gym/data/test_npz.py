from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_gym.data.decoding import resize
from gan_gym.data.loading import DataError, inspect_data, load_patches
from gan_gym.data.report import Loaded

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 28, 28, 3), dtype=np.uint8)
LABELS = RNG.permutation(np.repeat([7, 2, 10], 4)).astype(np.uint8)


def load(path: Path, **settings: object) -> Loaded:
    return load_patches(path, 16, **{"min_patches": 1, **settings})  # type: ignore[arg-type]


def failure(path: Path, **settings: object) -> str:
    with pytest.raises(DataError) as error:
        load(path, **settings)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(12,), (12, 1)])
def test_images_and_labels_are_read(tmp_path: Path, save: object, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.NPZ"
    with path.open("wb") as file:
        save(file, train_images=IMAGES, train_labels=LABELS.reshape(shape), val_images=IMAGES)  # type: ignore[operator]
    loaded = load(path)
    expected = np.stack([resize(Image.fromarray(image), (16, 16)) for image in IMAGES])
    np.testing.assert_array_equal(loaded.patches.images.numpy(), expected)
    assert loaded.patches.classes == ("2", "7", "10")
    assert [int(loaded.patches.classes[i]) for i in loaded.patches.labels] == LABELS.tolist()
    assert loaded.patches.groups.tolist() == list(range(12))
    assert (loaded.report.kind, loaded.report.n_images, loaded.report.sizes) == ("npz", 12, {"28x28": 12})
    assert loaded.report.classes == {"2": 4, "7": 4, "10": 4}
    assert inspect_data(path).n_used == 12


def test_labels_may_be_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=IMAGES)
    loaded = load(tmp_path / "a.npz")
    assert loaded.patches.classes == ("unlabelled",)
    assert loaded.patches.labels.tolist() == [0] * 12


def test_a_part_is_drawn_by_seed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=IMAGES, train_labels=LABELS)
    every = load(tmp_path / "a.npz").patches
    drawn = [load(tmp_path / "a.npz", max_patches=5, seed=seed).patches for seed in (0, 0, 1)]
    assert torch.equal(drawn[0].images, drawn[1].images)
    assert not torch.equal(drawn[0].images, drawn[2].images)
    for image, label in zip(drawn[0].images, drawn[0].labels, strict=True):
        place = (every.images == image).flatten(1).all(1).nonzero().item()
        assert every.labels[int(place)] == label


@pytest.mark.parametrize("images", [IMAGES[..., 0], IMAGES[..., :1]])
def test_greyscale_is_refused_or_converted(tmp_path: Path, images: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", train_images=images)
    for choice in ("skip", "fail"):
        assert "greyscale; use --on_bad_image convert" in failure(tmp_path / "a.npz", on_bad_image=choice)
    read = load(tmp_path / "a.npz", on_bad_image="convert").patches.images
    assert torch.equal(read[:, 0], read[:, 2])


def test_alpha_is_refused_or_composited(tmp_path: Path) -> None:
    clear = np.concatenate([IMAGES, np.zeros_like(IMAGES[..., :1])], axis=3)
    np.savez(tmp_path / "a.npz", train_images=clear)
    assert "alpha channel" in failure(tmp_path / "a.npz")
    assert (load(tmp_path / "a.npz", on_bad_image="convert").patches.images == 255).all()


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": np.zeros(3), "b": np.zeros(3)}, "no array 'train_images' (it holds: a, b)"),
        ({}, "(it holds: nothing)"),
        ({"train_images": np.array([object()], dtype=object)}, "pickled objects, which are never loaded"),
        ({"train_images": IMAGES.astype(np.uint16)}, "uint16 of shape (12, 28, 28, 3)"),
        ({"train_images": IMAGES / 255}, "float64"),
        ({"train_images": IMAGES.transpose(0, 3, 1, 2).copy()}, "channels last"),
        ({"train_images": IMAGES[0, 0]}, "of shape (28, 3)"),
        ({"train_images": IMAGES[:0]}, "has shape (0, 28, 28, 3)"),
        ({"train_images": np.asfortranarray(IMAGES)}, "Fortran order"),
        ({"train_images": IMAGES, "train_labels": LABELS[:5]}, "one integer for each of the 12 images"),
        ({"train_images": IMAGES, "train_labels": np.eye(12, dtype=int)}, "one integer for each"),
        ({"train_images": IMAGES, "train_labels": LABELS / 2}, "one integer for each"),
        ({"train_images": IMAGES, "train_labels": np.array([None] * 12)}, "pickled objects"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path: Path, arrays: dict[str, np.ndarray], expected: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    assert expected in failure(tmp_path / "a.npz")


def test_too_few_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=IMAGES)
    assert "holds only 12 patches, and 13 are needed" in failure(tmp_path / "a.npz", min_patches=13)


def header(shape: tuple[int, ...], version: bytes = b"\x01\x00") -> bytes:
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode() + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + length + text


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (header((10**6, 1000, 1000, 3)), "but arrays of 1 byte to 16 GiB"),
        (header((2**20, 1, 1, 3)), "cut short or has extra bytes"),
        (header((4, 2, 2, 3)) + bytes(49), "cut short or has extra bytes"),
        (header((-4, 2, 2, 3)), "has shape"),
        (header((4, 2, 2, 3), b"\x02\x00") + bytes(48), "npy format (2, 0)"),
        (b"", "damaged"),
        (b"no array", "damaged"),
        (header((4,)).replace(b"}", b"("), "damaged"),
    ],
)
def test_headers_are_checked_before_anything_is_allocated(
    tmp_path: Path, member: bytes, expected: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("train_images.npy", member)
    assert expected in failure(tmp_path / "a.npz")


def test_damaged_files(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.savez_compressed(whole, train_images=IMAGES)
    path = tmp_path / "a.npz"
    data = whole.getvalue()
    for damaged in (b"", b"text", data[: len(data) // 2], data[:2000] + b"\0" * 200 + data[2200:]):
        path.write_bytes(damaged)
        assert "damaged or no npz file" in failure(path)
    rng = np.random.default_rng(1)
    for _ in range(100):
        hostile = bytearray(data)
        for i in rng.integers(-150, 250, 3):
            hostile[i] = rng.integers(256)
        path.write_bytes(hostile)
        with contextlib.suppress(DataError):
            assert load(path).patches.images.shape[1:] == (3, 16, 16)
