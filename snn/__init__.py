"""Siamese neural network, not a spiking one: the reward model MFT-SNN, its fitting and its scores.

Fitted by contrastive, multistage progressive fine-tuning, after Mustafa (arXiv 2409.20340). This room knows
nothing of GANs or reinforcement learning: it takes tensors and gives embeddings and scores. Names load on
first use, so that scoring with a fitted network never imports what only fitting needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snn.backbones import Backbone, create_backbone
    from snn.evaluation import Verification, evaluate
    from snn.finetuning import History, HistoryRow, finetune
    from snn.losses import LOSSES, MINERS
    from snn.presets import PRESETS, Preset
    from snn.siamese import SiameseNet, embed_images, load_default, to_float
    from snn.similarity import ReferenceStatistics, Similarity
    from snn.stage_files import load_stages, stages_to_yaml
    from snn.stages import DEFAULT_STAGES, QUICK_STAGES, Stage

_HOMES = {
    "Backbone": "backbones",
    "create_backbone": "backbones",
    "Verification": "evaluation",
    "evaluate": "evaluation",
    "History": "finetuning",
    "HistoryRow": "finetuning",
    "finetune": "finetuning",
    "LOSSES": "losses",
    "MINERS": "losses",
    "PRESETS": "presets",
    "Preset": "presets",
    "SiameseNet": "siamese",
    "embed_images": "siamese",
    "load_default": "siamese",
    "to_float": "siamese",
    "ReferenceStatistics": "similarity",
    "Similarity": "similarity",
    "load_stages": "stage_files",
    "stages_to_yaml": "stage_files",
    "DEFAULT_STAGES": "stages",
    "QUICK_STAGES": "stages",
    "Stage": "stages",
}

__all__ = [
    "DEFAULT_STAGES",
    "LOSSES",
    "MINERS",
    "PRESETS",
    "QUICK_STAGES",
    "Backbone",
    "History",
    "HistoryRow",
    "Preset",
    "ReferenceStatistics",
    "SiameseNet",
    "Similarity",
    "Stage",
    "Verification",
    "create_backbone",
    "embed_images",
    "evaluate",
    "finetune",
    "load_default",
    "load_stages",
    "stages_to_yaml",
    "to_float",
]


def __getattr__(name: str) -> Any:
    """Import the module of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'snn' has no attribute {name!r}")
    value = getattr(import_module(f"snn.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
