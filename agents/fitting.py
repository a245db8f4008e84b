"""Fit the two learned parts: the reward model and the controller."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from agents.config import FitControllerConfig, FitSNNConfig
from agents.input_data import read_patches
from agents.run_folder import check_new, new_folder
from agents.splitting import split_held_out
from gan_gym.data.patches import PatchSet
from gan_gym.devices import resolve_device
from snn.evaluation import evaluate
from snn.finetuning import finetune
from snn.siamese import SiameseNet
from snn.stages import DEFAULT_STAGES, QUICK_STAGES, Stage

STAGES: dict[str, tuple[Stage, ...]] = {"imagenet": DEFAULT_STAGES, "shipped": QUICK_STAGES}
"""Stages by the weights they start from."""


def fit_snn(
    train: PatchSet,
    held_out: PatchSet,
    folder: Path,
    *,
    start: Literal["imagenet", "shipped"],
    seed: int,
    device: torch.device,
    stages: Sequence[Stage] | None = None,
) -> float | None:
    """Fit an MFT-SNN and move it to `folder` by rename; return its verification AUC on held-out patches.

    The AUC is None where the held-out patches allow no pairs.
    """
    model = SiameseNet.load() if start == "shipped" else SiameseNet(seed=seed)
    labelled = len(train.classes) > 1
    regions = (
        train.regions if train.regions is not None and len(train.regions) > 1 else None
    )  # one makes no pair
    history = finetune(
        model,
        train.images,
        labels=train.labels if labelled else None,
        regions=regions,
        region_labels=train.region_labels if labelled else None,
        stages=STAGES[start] if stages is None else stages,
        seed=seed,
        device=str(device),
        progress=True,
    )
    auc = None
    if len(held_out) >= 8:
        auc = evaluate(model, held_out.images, seed=seed, device=str(device)).auc
    with new_folder(folder) as part:
        model.save(
            part,
            provenance={
                "command": shlex.join(["gan-gym", *sys.argv[1:]]),
                "start": start,
                "n_patches": len(train),
                "n_regions": 0 if regions is None else len(regions),
                "instance_auc_held_out": auc,
            },
        )
        (part / "history.json").write_text(json.dumps(history.as_dicts()) + "\n")
    return auc


def run_fit_snn(config: FitSNNConfig) -> int:
    """Fit the reward model alone (`gan-gym fit-snn`)."""
    assert config.data is not None
    assert config.out is not None
    device = resolve_device(config.device)
    out = check_new(config.out, "model")
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
    n_regions = 0 if patches.regions is None else len(patches.regions)
    print(f"{len(patches)} patches of {len(patches.classes)} classes, {n_regions} regions for stage 1")
    train, held_out = split_held_out(patches, config.held_out, config.seed)
    if len(train) < 2:
        raise ValueError(
            f"held_out {config.held_out} leaves {len(train)} patches to fit on; lower --held_out"
        )
    auc = fit_snn(train, held_out, out, start=config.start, seed=config.seed, device=device)
    figure = "not measured (too few held-out patches)" if auc is None else f"{auc:.3f}"
    print(
        f"verification AUC on {len(held_out)} held-out patches (two views of one patch against others): "
        f"{figure}"
    )
    print(f"model in {config.out}")
    return 0


def run_fit_controller(config: FitControllerConfig) -> int:
    """Train a controller (`gan-gym fit-controller`)."""
    assert config.out is not None
    from agents.training import train

    out = check_new(config.out, "controller")
    torch.set_num_threads(1)  # two threads are slower on matrices this small
    controller = train(
        config.algo,
        config.env,
        config.total_timesteps,
        n_envs=config.n_envs,
        seed=config.seed,
        log_dir=out.with_name(f"{out.name}.tensorboard"),
        progress=True,
        env_kwargs={} if config.knobs is None else {"knobs": tuple(config.knobs)},
        imitated=config.imitate,
    )
    controller.card["command"] = shlex.join(["gan-gym", *sys.argv[1:]])
    with new_folder(out) as part:
        controller.save(part)
    print(f"controller in {config.out}; use it with gan-gym train --controller {shlex.quote(config.out)}")
    return 0
