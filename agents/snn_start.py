"""What a reward model starts from: preset, weights and stages, and which of them go together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from snn.presets import PRESETS, find_preset
from snn.siamese import SiameseNet
from snn.stages import QUICK_STAGES, Stage

Start = Literal["preset", "imagenet", "random", "shipped"]
"""Weights to start from; `preset` is the preset's own choice."""

STAGES: dict[str, tuple[Stage, ...]] = {"shipped": QUICK_STAGES}
"""Stages by the weights they start from, where they are not the preset's."""


def check_start(preset: str, start: Start, weights: str | None) -> None:
    """Raise `ValueError` where preset, start and file of weights are unknown or do not go together."""
    recipe = find_preset(preset)
    if start == "shipped" and recipe != PRESETS["fast"]:
        raise ValueError(f"--start shipped is a network of the preset fast, not of {preset}; leave one out")
    if weights is None:
        return
    if start != "preset":
        raise ValueError(f"--weights and --start {start} are two starts; leave one out")
    if not Path(weights).is_file():
        what = "is no file" if Path(weights).exists() else "does not exist"
        raise ValueError(f"--weights '{weights}' {what}; give a safetensors file of timm's {recipe.backbone}")


def starting_model(preset: str, start: Start, weights: str | None, seed: int) -> SiameseNet:
    """Return the network of a preset with the weights it starts from.

    Raises:
        ValueError: if they cannot be had, or what is asked for contradicts itself.
    """
    check_start(preset, start, weights)
    if start == "shipped":
        return SiameseNet.load()
    pretrained = {"preset": None, "imagenet": True, "random": False}[start] if weights is None else weights
    return find_preset(preset).build(seed, pretrained)


def starting_stages(preset: str, start: Start) -> tuple[Stage, ...]:
    """Return the stages of a preset; a fitted network is refined in fewer steps."""
    return STAGES.get(start, find_preset(preset).stages)
