"""Ready-made Siamese networks and how they are fitted, as data: `paper`, `fast` and `standard`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from snn.backbones import DEFAULT_BACKBONE
from snn.names import unknown_name
from snn.siamese import SiameseNet
from snn.stages import DEFAULT_STAGES, SOON, Stage

_ALL = ((0.0, 1.0),)


@dataclass(frozen=True)
class Preset:
    """A network, what it begins from, and the stages it is fitted by."""

    backbone: str
    """Any timm name."""
    depth: int | None
    """How many feature levels of the backbone are kept; `None` for all of it."""
    embedding_dim: int
    """Dimensions of the embedding."""
    min_size: int
    """Images with a smaller side are enlarged to it, in pixels."""
    pretrained: bool
    """Whether it begins from ImageNet weights, else from random ones."""
    stages: tuple[Stage, ...]
    """In order."""

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all stages."""
        return sum(stage.n_steps for stage in self.stages)

    def build(self, seed: int = 0, pretrained: bool | str | Path | None = None) -> SiameseNet:
        """Return the network before fitting.

        Args:
            seed: seed of the head's and any random backbone's weights.
            pretrained: as in `create_backbone`; `None` for the preset's own.

        Raises:
            ValueError: if weights cannot be loaded.
        """
        return SiameseNet(
            self.backbone,
            embedding_dim=self.embedding_dim,
            depth=self.depth,
            pretrained=self.pretrained if pretrained is None else pretrained,
            min_size=self.min_size,
            seed=seed,
        )

    def one_stage(self) -> Preset:
        """Return the same network, start, recipe and number of optimizer steps, without the stages.

        One stage on patches, everything trained at one rate from the first step on, no reconstruction: the
        ablation of stages and gradual unfreezing, and of nothing else.
        """
        stage = replace(
            self.stages[-1],
            name="one stage",
            objective="siamese",
            source="patches",
            n_steps=self.n_steps,
            unfreeze=_ALL,
            layer_decay=1.0,
        )
        return replace(self, stages=(stage,))

    def standard(self) -> Preset:
        """Return the plain Siamese network beside this preset.

        One stage as in `one_stage`, the contrastive loss on all pairs of a batch, and no damaged views:
        Figure 2 of the paper (arXiv 2409.20340). Backbone, start, steps, batches, rate and views are the
        preset's.
        """
        (stage,) = self.one_stage().stages
        plain = replace(stage, name="standard", loss="contrastive", miner="", degraded=0.0)
        return replace(self, stages=(plain,))


_FAST = Preset(DEFAULT_BACKBONE, 3, 96, 32, True, DEFAULT_STAGES)
_PAPER = Stage("patches", n_steps=160, batch_size=16, lr=1e-3, layer_decay=1.0, degraded=1.0, unfreeze=SOON)

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        backbone="vgg16",
        depth=3,
        embedding_dim=96,
        min_size=32,
        pretrained=False,
        stages=(
            replace(_PAPER, name="reconstruction", objective="reconstruction", n_steps=60, unfreeze=_ALL),
            replace(_PAPER, name="regions", source="regions", n_steps=40),
            _PAPER,
        ),
    ),
    "fast": _FAST,
    "standard": _FAST.standard(),
}
"""Presets by name.

`paper`: what the paper names, the encoder of a VGG-16 autoencoder (timm's `vgg16`, without batch
normalisation, cut after its third level), first trained without labels to reconstruct patches, then stage 1
on regions, stage 2 on patches, each with gradual unfreezing. Depth, sizes and steps are ours: the paper gives
none. `fast`: the default, small enough to be a reward inside an environment's step on a CPU. `standard`: the
plain Siamese network beside `fast`."""


def find_preset(name: str) -> Preset:
    """Return the preset `name`.

    Raises:
        ValueError: if there is none, with the nearest known name.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
