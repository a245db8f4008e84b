"""The shipped network on real H&E patches: the score falls with every disturbance."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from snn import (
    QUICK_STAGES,
    ReferenceStatistics,
    SiameseNet,
    embed_images,
    evaluate,
    finetune,
    load_default,
    to_float,
)

DATA = os.environ.get("GAN_GYM_DATA", "")
pytestmark = pytest.mark.skipif(
    not Path(DATA, "pcam_1000").is_dir(),
    reason="GAN_GYM_DATA names no folder with the real patches pcam_1000",
)


@pytest.fixture(scope="module")
def patches() -> Tensor:
    files = sorted(Path(DATA, "pcam_1000").rglob("*.png"))
    chosen = [files[i] for i in np.random.default_rng(0).permutation(len(files))[:600]]
    images = [np.asarray(Image.open(f).convert("RGB").resize((32, 32), Image.Resampling.BOX)) for f in chosen]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def model(patches: Tensor) -> SiameseNet:
    model = load_default()
    before = evaluate(model, patches[400:]).auc
    history = finetune(model, patches[:400], stages=QUICK_STAGES[1:], progress=False)
    assert len(history.rows) == QUICK_STAGES[1].n_steps
    after = evaluate(model, patches[400:]).auc
    assert before > 0.9
    assert after > before
    return model


def _levels(x: Tensor, kind: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(x.shape, generator=generator)
    blurred = interpolate(interpolate(x, scale_factor=0.25, mode="area"), (32, 32), mode="bilinear")
    strengths = torch.linspace(0, 1, 6).tolist()
    n = torch.arange(len(x))
    return {
        "blur": [torch.lerp(x, blurred, s) for s in strengths],
        "noise": [(x + 0.6 * s * noise).clamp(-1, 1) for s in strengths],
        "collapse": [x[n % k] for k in (128, 48, 16, 6, 2, 1)],
        "mixing": [torch.lerp(x, x.roll(1, dims=0), s / 2) for s in strengths],
        "fading": [torch.lerp(x, x.mean(dim=(2, 3), keepdim=True), s) for s in strengths],
    }[kind]


@pytest.mark.parametrize("kind", ["blur", "noise", "collapse", "mixing", "fading"])
def test_disturbed_patches_score_less(model: SiameseNet, patches: Tensor, kind: str) -> None:
    noise = torch.randint(0, 256, (128, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    statistics = ReferenceStatistics(
        embed_images(model, patches[:236]),
        noise_features=embed_images(model, noise.to(torch.uint8)),
        held_out_features=embed_images(model, patches[236:472]),
    )
    with torch.inference_mode():
        scores = [statistics.score(model(x)).quality for x in _levels(to_float(patches[472:]), kind)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9
    assert scores[-1] < scores[0] - 0.2
