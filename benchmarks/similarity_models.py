"""What the Siamese network is held against: every model is a map from images to unit-length embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from gan_gym.data.patches import PatchSet
from snn import PRESETS, Preset, create_backbone, finetune

FROZEN_SIZE = 64
"""Side in pixels that patches are enlarged to for the frozen network: at 32 px it is weaker by 0.02 AUC on
IDC, at 112 px better by 0.005 and three times slower."""
QUICK_STEPS = 10
"""Most steps of a stage in a brief run."""


@dataclass(frozen=True)
class BenchmarkModel:
    """A way to come by an embedding."""

    description: str
    """What it is."""
    fit: Callable[[PatchSet, int, bool], nn.Module]
    """Maps patches, a seed, and whether the fit is brief, to the fitted network."""


class FrozenEmbedding(nn.Module):
    """The pooled features of the reward's own backbone with its ImageNet weights, untouched."""

    def __init__(self, depth: int | None) -> None:
        super().__init__()
        self.backbone = create_backbone(depth=depth).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return `(N, F)` of images `(N, 3, H, W)` in [-1, 1]."""
        return normalize(self.backbone(interpolate(x, (FROZEN_SIZE, FROZEN_SIZE), mode="bilinear")), dim=1)


class PixelEmbedding(nn.Module):
    """The pixels themselves, without their mean brightness."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `(N, 3 H W)` of images `(N, 3, H, W)` in [-1, 1]."""
        flat = x.flatten(1)
        return normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


def fit_preset(preset: Preset, patches: PatchSet, seed: int, quick: bool) -> nn.Module:
    """Fit a preset on patches, and on the regions where there are any."""
    stages = preset.stages
    if quick:
        stages = tuple(replace(stage, n_steps=min(stage.n_steps, QUICK_STEPS)) for stage in stages)
    model = preset.build(seed)
    labelled = len(patches.classes) > 1
    has_regions = patches.regions is not None and len(patches.regions) > 1
    finetune(
        model,
        patches.images,
        labels=patches.labels if labelled else None,
        regions=patches.regions if has_regions else None,
        region_labels=patches.region_labels if has_regions and labelled else None,
        stages=stages,
        seed=seed,
        progress=False,
    )
    return model


def _preset(preset: Preset) -> Callable[[PatchSet, int, bool], nn.Module]:
    return lambda patches, seed, quick: fit_preset(preset, patches, seed, quick)


def _unfitted(preset: Preset, pretrained: bool) -> Callable[[PatchSet, int, bool], nn.Module]:
    return lambda patches, seed, quick: preset.build(seed, pretrained=pretrained)


_FAST, _PAPER = PRESETS["fast"], PRESETS["paper"]

MODELS: dict[str, BenchmarkModel] = {
    "fast": BenchmarkModel("MFT-SNN on EfficientNet-Lite0", _preset(_FAST)),
    "standard": BenchmarkModel("a plain Siamese network on the same backbone", _preset(PRESETS["standard"])),
    "paper": BenchmarkModel("MFT-SNN on a VGG-16 autoencoder, from random weights", _preset(_PAPER)),
    "standard_vgg16": BenchmarkModel("a plain one on VGG-16, the same weights", _preset(_PAPER.standard())),
    "frozen_imagenet": BenchmarkModel(
        "features of the frozen backbone", lambda patches, seed, quick: FrozenEmbedding(_FAST.depth)
    ),
    "random_weights": BenchmarkModel("fast, random and unfitted", _unfitted(_FAST, False)),
    "random_vgg16": BenchmarkModel("VGG-16, random and unfitted", _unfitted(_PAPER, False)),
    "one_stage": BenchmarkModel("fast without its stages", _preset(_FAST.one_stage())),
    "one_stage_vgg16": BenchmarkModel("paper without its stages", _preset(_PAPER.one_stage())),
    "pixels": BenchmarkModel("no network", lambda patches, seed, quick: PixelEmbedding()),
}
"""By name."""
