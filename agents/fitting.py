"""Fit the reward model (`gan-gym fit-snn`)."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from agents.config import FitSNNConfig
from agents.fit_checkpoints import FitCheckpoints, check_stopped, digest, digest_file, under_way
from agents.input_data import read_patches
from agents.run_folder import check_new, new_folder
from agents.snn_start import STAGES, Start, check_start, starting_model, starting_stages
from agents.splitting import more_to_train_on, split_held_out
from gan_gym.data.patches import PatchSet
from gan_gym.devices import resolve_device
from snn.evaluation import evaluate
from snn.finetuning import finetune
from snn.history_picture import draw_history
from snn.stage_files import load_stages, stages_to_yaml
from snn.stages import Stage

logger = logging.getLogger(__name__)

N_VALIDATED = 256
"""Held-out patches that the AUC in the history is measured on, at most, so that it costs little."""
N_MEASURED = 2000
"""The same for the figures of the fitted model."""
MIN_HELD_OUT = 8
"""Fewest patches that anything is measured on."""

__all__ = ["STAGES", "fit_snn", "run_fit_snn"]


def fit_snn(
    train: PatchSet,
    held_out: PatchSet,
    folder: Path,
    *,
    start: Start,
    seed: int,
    device: torch.device,
    preset: str = "fast",
    weights: str | None = None,
    stages: Sequence[Stage] | None = None,
) -> float | None:
    """Fit an MFT-SNN and move it to `folder` by rename, with its history as JSON and as a picture.

    A fit of the same that was stopped is continued from its newest checkpoint, beside `folder`, and ends as
    one that never stopped.

    Args:
        train: what is fitted on; classes only refine the network.
        held_out: what is measured on.
        folder: must not exist.
        start: the weights.
        seed: of everything random.
        device: where it is trained.
        preset: a name in `snn.PRESETS`.
        weights: safetensors file of the backbone's weights to start from.
        stages: in order; the preset's unless given.

    Returns:
        The verification AUC on held-out patches, `None` where these are too few.

    Raises:
        ValueError: if preset, start, weights and data do not go together, the loss overflows, or the fit that
            was stopped was another.
    """
    model = starting_model(preset, start, weights, seed)
    plan = starting_stages(preset, start) if stages is None else tuple(stages)
    labelled = len(train.classes) > 1
    regions = _regions(train)
    measured = len(held_out) >= MIN_HELD_OUT
    conditions = {
        "preset": preset,
        "start": start if weights is None else digest_file(weights),
        "stages": [asdict(stage) for stage in plan],
        "seed": seed,
        "data": [digest(images) for images in (train.images, train.labels, held_out.images)],
    }
    checkpoints = FitCheckpoints(folder, conditions)
    try:
        history = finetune(
            model,
            train.images,
            labels=train.labels if labelled else None,
            regions=regions,
            region_labels=train.region_labels if labelled else None,
            stages=plan,
            validation=(_sample(held_out.images, N_VALIDATED), None) if measured else None,
            seed=seed,
            device=str(device),
            progress=True,
            start=checkpoints.load(),
            keep=checkpoints.save,
        )
    except FloatingPointError as error:
        checkpoints.remove()
        raise ValueError(str(error)) from error
    known = _sample(held_out.images, N_MEASURED)
    found = evaluate(model, known, seed=seed, device=str(device)) if measured else None
    with new_folder(folder) as part:
        model.save(
            part,
            provenance={
                "command": shlex.join(["gan-gym", *sys.argv[1:]]),
                "preset": preset,
                "start": start if weights is None else weights,
                "stages": [asdict(stage) for stage in plan],
                "n_patches": len(train),
                "n_regions": 0 if regions is None else len(regions),
                "instance_auc_held_out": None if found is None else found.auc,
                "instance_recall1_held_out": None if found is None else found.recall1,
            },
        )
        course = {"final_auc": history.final_auc, "rows": history.as_dicts()}
        (part / "history.json").write_text(json.dumps(course) + "\n")
        (part / "history.png").write_bytes(draw_history(history))
    checkpoints.remove()
    return None if found is None else found.auc


def run_fit_snn(config: FitSNNConfig) -> int:
    """Fit the reward model alone (`gan-gym fit-snn`)."""
    check_start(config.preset, config.start, config.weights)
    plan = starting_stages(config.preset, config.start)
    stages = plan if config.stages is None else load_stages(config.stages)
    if config.print_stages:
        print(stages_to_yaml(stages), end="")
        return 0
    assert config.data is not None
    assert config.out is not None
    began = time.monotonic()
    device = resolve_device(config.device)
    out = check_new(config.out, "model")
    check_stopped(out, resume=config.resume)
    loaded = read_patches(
        None if config.data == "embedded" else config.data,
        config.image_size,
        min_patches=config.batch_size,
        on_bad_image=config.on_bad_image,
        seed=config.seed,
        mpp=config.mpp,
        slide_mpp=config.slide_mpp,
    )
    patches = loaded.patches
    print(_found(patches))
    train, held_out = split_held_out(patches, config.held_out, config.seed)
    if len(train) < 2:
        raise ValueError(
            f"held_out {config.held_out} leaves {len(train)} patches to fit on; "
            f"{more_to_train_on(patches, 2)}"
        )
    _warn_of_single_patches(train)
    print(_planned(stages, with_regions=_regions(train) is not None), flush=True)
    with under_way(out):
        auc = fit_snn(
            train,
            held_out,
            out,
            start=config.start,
            seed=config.seed,
            device=device,
            preset=config.preset,
            weights=config.weights,
            stages=stages,
        )
    figure = "not measured (too few held-out patches)" if auc is None else f"{auc:.3f}"
    print(
        f"verification AUC on {len(_sample(held_out.images, N_MEASURED))} held-out patches "
        f"(two views of one patch against others): {figure}"
    )
    print(f"model, history.json and history.png in {config.out}, after {time.monotonic() - began:.0f} s")
    return 0


def _sample(images: torch.Tensor, most: int) -> torch.Tensor:
    """Return at most `most` images, evenly spread: neighbours come from one slide."""
    return images[:: max(1, -(-len(images) // most))]


def _regions(patches: PatchSet) -> torch.Tensor | None:
    """Return the regions for stage 1; a single one makes no pair."""
    return patches.regions if patches.regions is not None and len(patches.regions) > 1 else None


def _found(patches: PatchSet) -> str:
    """Say what there is to fit on."""
    counts = torch.bincount(patches.labels, minlength=len(patches.classes)).tolist()
    named = ", ".join(f"{name} {n}" for name, n in zip(patches.classes, counts, strict=True))
    classes = f"{len(counts)} classes ({named})" if len(counts) > 1 else "no classes"
    n_groups = len(torch.unique(patches.groups))
    origin = f"{n_groups} slides, regions or patients" if n_groups < len(patches) else "unknown slides"
    n_regions = 0 if patches.regions is None else len(patches.regions)
    return f"{len(patches)} patches from {origin}, {classes}; {n_regions} regions for stage 1"


def _planned(stages: Sequence[Stage], *, with_regions: bool) -> str:
    """Say which stages there will be."""
    done = [stage for stage in stages if with_regions or stage.source == "patches"]
    text = "stages: " + ", ".join(f"{stage.name} ({stage.n_steps} steps)" for stage in done)
    left_out = [stage.name for stage in stages if stage not in done]
    return text + (
        f"; left out, as there are no regions to fit on: {', '.join(left_out)}" if left_out else ""
    )


def _warn_of_single_patches(patches: PatchSet) -> None:
    counts = torch.bincount(patches.labels, minlength=len(patches.classes)).tolist()
    single = [name for name, n in zip(patches.classes, counts, strict=True) if n == 1]
    if len(patches.classes) > 1 and single:
        logger.warning(
            "one patch to fit on in %s: it makes no pair of its class and is told apart as an image only; "
            "add patches, or merge classes",
            ", ".join(repr(name) for name in single[:5]) + (" and more" if len(single) > 5 else ""),
        )
