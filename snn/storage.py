"""A fitted network as two plain files, weights (safetensors) and JSON; nothing runs on load."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

FORMAT = "gan-gym/siamese"
VERSION = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"

_PRETRAINED = Path(__file__).parent / "pretrained"


def shipped_names() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(file.parent.name for file in _PRETRAINED.glob(f"*/{DESCRIPTION}"))


def shipped_folder(name: str) -> Path | None:
    """Return the folder of the shipped model `name`, or `None` (a folder of that name in reach wins)."""
    if name in shipped_names() and not Path(name, DESCRIPTION).exists():
        return _PRETRAINED / name
    return None


def model_folder(folder: str | Path | None) -> Path:
    """Return the folder that `SiameseNet.load` reads: a shipped model's by its name, `None` the tissue's."""
    return shipped_folder("tissue" if folder is None else str(folder)) or Path(str(folder))


def write_model(
    folder: Path,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    provenance: Mapping[str, Any],
    dtype: torch.dtype,
) -> None:
    """Write the weights, then their description with the sha256 of the weights.

    Raises:
        ValueError: if the folder cannot be written.
        TypeError: if the provenance is not JSON-able.
    """
    weights = save(
        {
            key: value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous()
            for key, value in state.items()
        }
    )
    description = {
        "format": FORMAT,
        "version": VERSION,
        "config": dict(config),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "provenance": dict(provenance),
    }
    text = json.dumps(description, indent=2) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in ((folder / WEIGHTS, weights), (folder / DESCRIPTION, text.encode())):
            part = file.with_name(f"{file.name}.{os.getpid()}.part")
            part.write_bytes(content)
            os.replace(part, file)
    except OSError as error:
        raise ValueError(
            f"cannot write the model to {folder} ({error.strerror}); choose another folder"
        ) from error


def read_model(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Return configuration, float32 weights and provenance of the model in `folder`.

    Raises:
        ValueError: if files are missing, unreadable, of another format or version, or do not match their
            sha256.
    """
    remedy = f"fit it again, or use a shipped model ({', '.join(shipped_names())})"
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} holds no fitted Siamese network ({name} is missing); {remedy}")
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        found = (description["format"], description["version"])
        config, provenance = dict(description["config"]), dict(description["provenance"])
        sha256 = description["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{folder / DESCRIPTION} is no description of a Siamese network ({error!r}); {remedy}"
        ) from error
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{folder / DESCRIPTION} has format {found[0]!r}, version {found[1]!r}; this package reads "
            f"{FORMAT!r}, version {VERSION}; {remedy}"
        )
    weights = (folder / WEIGHTS).read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != sha256:
        raise ValueError(
            f"{folder / WEIGHTS} has sha256 {digest}, its description says {sha256}: "
            f"it is damaged or changed; {remedy}"
        )
    try:
        state = load(weights)
    except SafetensorError as error:
        raise ValueError(
            f"{folder / WEIGHTS} is not a readable safetensors file ({error}); {remedy}"
        ) from error
    return config, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, provenance
