"""Model files that are damaged or mean harm: none may be loaded, none may run code.

Controllers, reward models, generators and checkpoints, each with weights and a description that were changed
in every way of one table. Weights are tried twice: as they are, which their sha256 gives away, and with a
description that was made to fit them, so that the parsers themselves must refuse.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from agents.controller import Controller
from agents.generator_file import load_generator, save_generator
from gan_gym.checkpoint import load_checkpoint, save_checkpoint
from gan_gym.gan import build_networks
from snn.siamese import SiameseNet

Change = Callable[[bytes], bytes | None]
"""Turns a file's content into another; `None` removes the file."""


@dataclass(frozen=True)
class Kind:
    """A kind of model file."""

    make: Callable[[Path], object]
    """Writes a good one into a folder."""
    load: Callable[[Path], object]
    """Loads it, or raises `ValueError`."""
    weights: str
    """Path of its weights in the folder."""
    description: str
    """Path of its description, JSON that holds the sha256 of the weights."""
    free: bool = False
    """Whether any tensors will do."""


@dataclass(frozen=True)
class Hostile:
    """One hostile file."""

    kind: str
    """A key of `KINDS`."""
    name: str
    """What is wrong with it."""
    change: Change
    """What was done."""
    to_weights: bool
    """Whether to the weights, else to the description."""
    signed: bool = False
    """Whether the description was made to fit."""


def _make_generator(folder: Path) -> None:
    module, _ = build_networks("light", (3, 16, 16), 0)
    save_generator(module, folder, "light", (3, 16, 16), 0)


def _load_checkpoint(folder: Path) -> object:
    return load_checkpoint(folder)


_CHECKPOINT = "ckpt-000000001"
KINDS: dict[str, Kind] = {
    "controller": Kind(
        lambda folder: Controller.load("pretrained").save(folder),
        Controller.load,
        "policy.safetensors",
        "controller.json",
    ),
    "reward model": Kind(
        lambda folder: SiameseNet.load("digits").save(folder),
        SiameseNet.load,
        "model.safetensors",
        "model.json",
    ),
    "generator": Kind(
        _make_generator,
        lambda folder: load_generator(str(folder), torch.device("cpu")),
        "generator.safetensors",
        "generator.json",
    ),
    "checkpoint": Kind(
        lambda folder: save_checkpoint(folder, 1, {"w": torch.zeros(3)}, {"n": 1}),
        _load_checkpoint,
        f"{_CHECKPOINT}/state.safetensors",
        f"{_CHECKPOINT}/manifest.json",
        free=True,
    ),
}
"""What this package loads from files."""


class _Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def _flipped(place: float) -> Change:
    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[int(place * (len(content) - 1))] ^= 0x10
        return bytes(changed)

    return flip


def _other_tensors(content: bytes) -> bytes:
    return save({"a": np.zeros(3, np.float32)})


def _header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


_OTHER_NUMBERS: Change = _flipped(1.0)
"""Gives weights that only their sha256 tells from good ones."""


def _weights(mark: Path) -> dict[str, Change]:
    """Return what is done to weights; a pickle leaves `mark` if it is ever opened."""
    overlapping = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]},"b":{"dtype":"F32","shape":[9],'
    return {
        "first byte flipped": _flipped(0.0),
        "a byte of the header flipped": _flipped(0.001),
        "last byte flipped": _OTHER_NUMBERS,
        "cut in half": lambda content: content[: len(content) // 2],
        "one byte short": lambda content: content[:-1],
        "one byte long": lambda content: content + b"\0",
        "empty": lambda content: b"",
        "missing": lambda content: None,
        "a pickle": lambda content: pickle.dumps(_Payload(mark)),
        "a zip of torch.save": lambda content: b"PK\x03\x04" + bytes(64),
        "a header of 2^62 bytes": lambda content: struct.pack("<Q", 2**62) + b"{}",
        "a header deeper than any stack": lambda content: _header(b"[" * 200_000),
        "a tensor of 10^18 numbers": lambda content: (
            _header(b'{"a":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4]}}') + bytes(4)
        ),
        "overlapping tensors": lambda content: _header(overlapping + b'"data_offsets":[0,36]}}') + bytes(36),
        "other tensors": _other_tensors,
    }


def _descriptions(mark: Path) -> dict[str, Change]:
    return {
        "empty": lambda content: b"",
        "missing": lambda content: None,
        "half": lambda content: content[: len(content) // 2],
        "a list": lambda content: b"[]",
        "null": lambda content: b"null",
        "no keys": lambda content: b"{}",
        "no text": lambda content: bytes(range(128, 256)),
        "deeper than any stack": lambda content: b"[" * 200_000,
        "a pickle": lambda content: pickle.dumps(_Payload(mark)),
        "another sha256": lambda content: _resigned(content, lambda old: "0" * 64),
        "a number for the sha256": lambda content: _resigned(content, lambda old: 7),
        "a path for the sha256": lambda content: _resigned(content, lambda old: "../../../etc/passwd"),
    }


def _resigned(content: bytes, change: Callable[[Any], Any]) -> bytes:
    head = json.loads(content)
    if isinstance(head["sha256"], dict):
        head["sha256"] = {name: change(old) for name, old in head["sha256"].items()}
    else:
        head["sha256"] = change(head["sha256"])
    return json.dumps(head).encode()


def _fit(content: bytes, weights: str, digest: str) -> bytes:
    """Return a description that says this sha256 of these weights."""
    head = json.loads(content)
    if isinstance(head["sha256"], dict):
        head["sha256"][Path(weights).name] = digest
    else:
        head["sha256"] = digest
    return json.dumps(head).encode()


def catalogue(mark: Path) -> Iterator[Hostile]:
    """Give all hostile files.

    Args:
        mark: file that appears where a pickle among them is opened.
    """
    for kind in KINDS:
        for name, change in _weights(mark).items():
            yield Hostile(kind, f"weights: {name}", change, to_weights=True)
            if change is not _OTHER_NUMBERS and not (KINDS[kind].free and change is _other_tensors):
                yield Hostile(kind, f"weights that fit: {name}", change, to_weights=True, signed=True)
        for name, change in _descriptions(mark).items():
            yield Hostile(kind, f"description: {name}", change, to_weights=False)


def accepted(hostile: Hostile, good: Path, here: Path) -> str | None:
    """Return what went wrong where a hostile file was not refused as documented, or `None`.

    Args:
        hostile: the file.
        good: folder of a good one of its kind, made by `KINDS`.
        here: folder to put it in; must not exist.
    """
    kind = KINDS[hostile.kind]
    shutil.copytree(good, here)
    file = here / (kind.weights if hostile.to_weights else kind.description)
    content = hostile.change(file.read_bytes())
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
        if hostile.signed:
            description = here / kind.description
            digest = hashlib.sha256(content).hexdigest()
            description.write_bytes(_fit(description.read_bytes(), kind.weights, digest))
    try:
        kind.load(here)
    except ValueError as error:
        return None if str(error) else "said nothing"
    except BaseException as error:
        return f"raised {error!r}"[:200]
    return "was loaded"
