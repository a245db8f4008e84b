"""Features of real images kept on disk, for the same real images are compared with again and again."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from gan_gym.caches import keep, user_cache
from gan_gym.metrics.extractors import Extractor, FrozenExtractor, embed

MAX_BYTES = 1 << 30
"""What the folder may hold; the files that were used longest ago go first."""
VERSION = 1
"""Raised where features come out otherwise than before, so that older ones are not used."""

logger = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Return where features are kept: `gan-gym/features` in `$XDG_CACHE_HOME` or `~/.cache`.

    None where there is no home. It grows to 1 GiB at most, and can be deleted at any time.
    """
    return user_cache("features")


def embed_real(
    extractor: Extractor,
    images: Tensor,
    folder: Path | None,
    *,
    progress: bool = False,
    label: str = "real",
) -> Tensor:
    """Return what `embed` would, out of `folder` where these very images were embedded before.

    The key is the content: the images' bytes and shape, the extractor's weights, resize and device. A file
    that is damaged, or whose digest does not fit, is made again; a folder that cannot be read or written is
    done without. Only a `FrozenExtractor` is trusted to be what its digest says; others are always asked.

    Args:
        extractor: the feature extractor.
        images: `(N, 3, H, W)` uint8, RGB.
        folder: where features are kept; `None` keeps none.
        progress: show a progress bar where it takes longer than two seconds.
        label: what the progress bar says.
    """
    if folder is None or not isinstance(extractor, FrozenExtractor):
        return embed(extractor, images, progress=progress, label=label)
    facts = (VERSION, extractor.name, extractor.sha256, extractor.resize, str(extractor.device), images.shape)
    key = hashlib.sha256(repr(facts).encode())
    key.update(images.contiguous().numpy().data)
    file = folder / f"{key.hexdigest()}.safetensors"
    features = _cached(file, len(images))
    if features is None:
        features = embed(extractor, images, progress=progress, label=label)
        if features.isfinite().all():
            _keep(features, file)
    return features


def _digest(features: Tensor) -> Tensor:
    """Return the sha256 of features as `(32,)` uint8."""
    digest = hashlib.sha256(features.contiguous().numpy().data).digest()
    return torch.from_numpy(np.frombuffer(digest, dtype=np.uint8).copy())


def _cached(file: Path, n: int) -> Tensor | None:
    try:
        held = load_file(file)
        features, digest = held["features"], held["sha256"]
        sound = features.dtype == torch.float32 and features.ndim == 2 and len(features) == n
        if not (sound and torch.equal(digest, _digest(features)) and bool(features.isfinite().all())):
            raise ValueError("it does not hold what it should")
        os.utime(file)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, LookupError, ValueError) as error:
        logger.info("the features in %s cannot be used (%s) and are made again", file, error)
        return None
    return features


def _keep(features: Tensor, file: Path) -> None:
    if keep(save({"features": features, "sha256": _digest(features)}), file):
        try:
            _make_room(file.parent)
        except OSError as error:
            logger.info("the folder of features %s cannot be cleared (%s)", file.parent, error)


def _make_room(folder: Path) -> None:
    """Delete the files that were used longest ago, down to `MAX_BYTES`."""
    held = sorted(((file.stat(), file) for file in folder.iterdir()), key=lambda pair: -pair[0].st_mtime_ns)
    total = 0
    for facts, file in held:
        total += facts.st_size
        if total > MAX_BYTES:
            file.unlink(missing_ok=True)
