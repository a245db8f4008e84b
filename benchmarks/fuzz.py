"""Broken bytes for everything that reads a user's files: nothing but the documented errors may come out."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
import yaml
from PIL import Image

from agents.controller import Controller
from agents.run_folder import read_config
from agents.run_record import read_run
from benchmarks.hostile_files import KINDS
from gan_gym.checkpoint import CheckpointError, load_checkpoint
from gan_gym.data.decoding import BadImage, decode, read_header
from gan_gym.data.loading import load_patches
from gan_gym.data.report import DataError
from gan_gym.data.slides import opened_slide
from snn.siamese import SiameseNet
from snn.stage_files import parse_stages, stages_to_yaml
from snn.stages import DEFAULT_STAGES

TOKENS = (
    *(b"\0", b"\xff", b"\xff\xfe", b"[", b"{", b'"', b"]" * 50, b"[" * 2000, b"\n", b": "),
    *(b"-1", b"1e999", b"NaN", b"null", b"9" * 40),
    *(b"../", b"!!python/object:os.system", b"\x80\x04", b"&a", b"*a"),
)
"""What is inserted: what parsers stumble over."""


@dataclass(frozen=True)
class Target:
    """Something that reads bytes."""

    read: Callable[[Path], object]
    """Reads a file, or the folder around it."""
    file: str
    """Where the bytes go, below the folder that `read` gets, or its own name where `read` gets the file."""
    seeds: Callable[[], list[bytes]]
    """Good content to begin from."""
    errors: tuple[type[Exception], ...]
    """Errors it documents."""
    share: float
    """Share of the executions."""
    takes_file: bool = True
    """Whether `read` gets the file, else its folder."""
    beside: Callable[[Path], object] | None = None
    """Writes what else the folder needs."""


def _images() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)
    found = []
    for form in ("PNG", "JPEG", "TIFF"):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, form)
        found.append(content.getvalue())
    return found


def _npz() -> list[bytes]:
    rng, found = np.random.default_rng(0), []
    for save in (np.savez, np.savez_compressed):
        content = io.BytesIO()
        images = rng.integers(0, 255, (2, 8, 8, 3), np.uint8)
        save(content, train_images=images, train_labels=np.array([0, 1]))
        found.append(content.getvalue())
    return found


def _read_image(file: Path) -> object:
    read_header(file, True)
    return decode(file, True)


def _good(kind: str, name: str) -> Callable[[], list[bytes]]:
    def content() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            KINDS[kind].make(Path(folder))
            return [Path(folder, name).read_bytes()]

    return content


def _configs() -> list[bytes]:
    return [
        yaml.safe_dump({"data": "x", "out": "y", "n_images": 80000, "image_size": 32, "seed": 0}).encode()
    ]


def _metrics() -> list[bytes]:
    rows = [
        {"env_step": i, "n_images": 64 * i, "quality": 0.1 * i, "g_lr": 1e-3, "end": ""} for i in range(3)
    ]
    return ["".join(json.dumps(row) + "\n" for row in rows).encode()]


def _stages() -> list[bytes]:
    return [stages_to_yaml(DEFAULT_STAGES[:1]).encode(), b"- {name: a, n_steps: 3, unfreeze: [[0, 1]]}"]


def _zips() -> list[bytes]:
    weights, content = io.BytesIO(), io.BytesIO()
    torch.save(Controller.load("pretrained").policy.state_dict(), weights)
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data", '{"policy_class": {"__module__": "stable_baselines3.common.policies"}}')
        archive.writestr("policy.pth", weights.getvalue())
    return [content.getvalue()]


def _slides() -> list[bytes]:
    content, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    tifffile.imwrite(content, pixels, tile=(32, 32), photometric="rgb", resolution=(20000, 20000))
    return [content.getvalue()]


def _read_slide(file: Path) -> object:
    with opened_slide(file) as slide:
        height, width = slide.size
        return slide.read((0.0, 0.0, float(width), float(height)), (16, 16))


def _read_signed(folder: Path) -> object:
    """Load a controller whose description was made to fit its weights, so that their parser must refuse."""
    description = folder / "controller.json"
    head = json.loads(description.read_text())
    head["sha256"] = hashlib.sha256((folder / "policy.safetensors").read_bytes()).hexdigest()
    description.write_text(json.dumps(head))
    return Controller.load(folder)


def _read_patches(file: Path) -> object:
    return load_patches(str(file), 8, min_patches=2)


TARGETS: dict[str, Target] = {
    "image": Target(_read_image, "x.png", _images, (BadImage,), 0.25),
    "npz": Target(_read_patches, "x.npz", _npz, (DataError,), 0.08),
    "stages (YAML)": Target(
        lambda file: parse_stages(file.read_bytes()), "s.yaml", _stages, (ValueError, TypeError), 0.1
    ),
    "run's options (YAML)": Target(
        lambda folder: read_config(str(folder)), "config.yaml", _configs, (ValueError,), 0.1, takes_file=False
    ),
    "run's metrics (JSON)": Target(
        read_run, "metrics.jsonl", _metrics, (), 0.15, takes_file=False,
        beside=lambda folder: (folder / "config.yaml").write_text("data: x"),
    ),
    "controller (JSON)": Target(
        Controller.load, "controller.json", _good("controller", "controller.json"), (ValueError,), 0.1,
        takes_file=False, beside=KINDS["controller"].make,
    ),
    "reward model (JSON)": Target(
        SiameseNet.load, "model.json", _good("reward model", "model.json"), (ValueError,), 0.05,
        takes_file=False, beside=KINDS["reward model"].make,
    ),
    "checkpoint (JSON)": Target(
        load_checkpoint, "ckpt-000000001/manifest.json", _good("checkpoint", "ckpt-000000001/manifest.json"),
        (CheckpointError,), 0.1, takes_file=False, beside=KINDS["checkpoint"].make,
    ),
    "weights (safetensors)": Target(
        _read_signed, "policy.safetensors", _good("controller", "policy.safetensors"), (ValueError,), 0.03,
        takes_file=False, beside=KINDS["controller"].make,
    ),
    "model of SB3 (zip)": Target(Controller.load, "x.zip", _zips, (ValueError,), 0.03),
    "slide": Target(_read_slide, "x.tif", _slides, (BadImage,), 0.01),
}  # fmt: skip
"""What reads a user's bytes, by name."""


@dataclass(frozen=True)
class Crash:
    """An error that is not documented."""

    target: str
    """A key of `TARGETS`."""
    seed: int
    """What `broken` was given."""
    error: str
    """What came out."""
    content: bytes
    """What was read."""


def broken(content: bytes, seeds: list[bytes], rng: random.Random) -> bytes:
    """Return content with one to four changes: bits, bytes, cuts, copies, tokens, parts of other seeds."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        until = min(len(data), at + rng.choice((1, 2, 4, 16, 64)))
        change = rng.randrange(7)
        if change == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif change == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif change == 2:
            del data[at:until]
        elif change == 3:
            data[at:at] = data[at:until]
        elif change == 4:
            data[at:at] = rng.choice(TOKENS)
        elif change == 5:
            del data[at:]
        else:
            other = rng.choice(seeds)
            cut = rng.randint(0, len(other))
            data[at:until] = other[cut : cut + 64]
    return bytes(data)


def fuzz(name: str, n: int, folder: Path, seed: int = 0) -> Iterator[Crash | None]:
    """Read `n` broken contents; yield a crash or `None` for each.

    Args:
        name: a key of `TARGETS`.
        n: executions.
        folder: an empty folder to write in.
        seed: of the first; execution i depends on `seed + i` alone.
    """
    target = TARGETS[name]
    seeds = target.seeds()
    if target.beside is not None:
        target.beside(folder)
    file = folder / target.file
    file.parent.mkdir(parents=True, exist_ok=True)
    for i in range(seed, seed + n):
        rng = random.Random(i)
        content = broken(rng.choice(seeds), seeds, rng)
        file.write_bytes(content)
        try:
            target.read(file if target.takes_file else folder)
        except target.errors:
            yield None
        except BaseException as error:
            yield Crash(name, i, repr(error)[:200], content)
        else:
            yield None
