"""Run folders made up for the tests of what people read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agents.sheets import draw_closest_pairs, save_closest_pairs

STEPS = 40


def write_picture(file: Path, seed: int, size: int = 64) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def make_rows(kind: str = "healthy", n_steps: int = STEPS) -> list[dict[str, object]]:
    """Return rows: `healthy`, `collapsing`, `diverged`, `worse`, `falling`, `young` or `weak`."""
    found: list[dict[str, object]] = []
    g_lr, noise = 1e-3, 0.0
    for step in range(1, n_steps + 1):
        share = step / STEPS
        quality = 0.75 * (1 - np.exp(-4 * share))
        coverage, diversity = quality, min(0.3 + 2 * share, 0.95)
        if kind == "collapsing" and share > 0.5:
            coverage, diversity, quality = 0.1, 0.15, 0.3
        if kind == "worse" and share > 0.5:
            quality, coverage = 0.4, 0.35
        if kind == "weak":
            quality, coverage = 0.3, 0.3
        if kind == "young":
            quality, coverage = 0.4 * share, 0.4 * share
        if kind == "falling" and share > 0.5:
            quality = 0.4
        action = {"action_g_lr": 0.5 * (-1) ** step, "action_instance_noise": 1.0 if step == 5 else 0.0}
        g_lr *= 4 ** action["action_g_lr"]
        noise = 0.04 if step >= 5 else noise
        found.append(
            {
                "env_step": step, "n_images": step * 1_600, "g_loss": 0.7 + share, "d_loss": 1.38 - share / 2,
                "score_real": share, "score_fake": -share, "quality": quality, "fidelity": quality,
                "coverage": coverage, "diversity": diversity, "kernel": quality, "g_lr": g_lr, "d_lr": 1e-3,
                "instance_noise": noise, "reward": 0.01, **action, "end": "",
            }
        )  # fmt: skip
    if found and n_steps == STEPS:
        found[-1]["end"] = "diverged" if kind == "diverged" else "budget"
    return found


def fill_run(run: Path, kind: str = "healthy", n_steps: int = STEPS) -> Path:
    """Write a whole run folder, evaluation included."""
    (run / "samples").mkdir(parents=True)
    (run / "config.yaml").write_text("data: patches\nn_images: 64000\nnote: <script>alert(1)</script>\n")
    (run / "command.txt").write_text("gan-gym train --data patches --out run & <b>\n")
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_rows(kind, n_steps)))
    for i, n_images in enumerate((0, 16_000, 32_000, 48_000, 64_000)):
        write_picture(run / "samples" / f"{n_images:09d}.png", i)
    write_picture(run / "samples" / "real.png", 9)
    pairs = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 8, 8) * 40
    ratios = torch.tensor([0.0, 0.31, 0.5])
    sheet = draw_closest_pairs(pairs[:3], pairs[3:], torch.arange(3).repeat(2, 1).T, ratios)
    save_closest_pairs(sheet, ratios, run / "samples" / "memorisation.png")
    machine = {"python": "3.12", "cuda": [], "packages": {"torch": "2.9", "sb3-contrib": None}}
    (run / "env.json").write_text(json.dumps(machine))
    evaluation = {
        "kid": {
            "value": 0.0123,
            "low": 0.01,
            "high": 0.015,
            "n_real": 500,
            "extractor": "tf_efficientnet_lite2",
        },
        "fid": {"value": None, "reason": "FID needs at least 2,048 images a side; got <500>"},
        "memorisation": {"value": 0.06, "low": 0.03, "high": 0.1},
    }
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    return run


@pytest.fixture
def write_run() -> Callable[..., Path]:
    return fill_run


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return make_rows()
