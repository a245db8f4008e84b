from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_gym.envs.histogan
from agents import cli

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def patch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 patches of two classes, 32 x 32: smooth colours under noise."""
    folder, rng = tmp_path_factory.mktemp("data") / "patches", np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            smooth = np.asarray(Image.fromarray(rng.integers(60, 200, (4, 4, 3), np.uint8)).resize((32, 32)))
            noisy = (smooth + rng.integers(-20, 20, (32, 32, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, patch_folder: Path) -> Path:
    """A whole run under the cosine baseline; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gan_gym.envs.histogan, "N_SCORED", 16)
        flags = (
            "--controller cosine --reward_model shipped --n_images 160 --batch_size 8 --inner_steps 2 "
            "--image_size 16 --evaluate false"
        )
        arguments = ["--data", str(patch_folder), "--out", str(out), *flags.split()]
        assert cli.main(["train", *arguments]) == 0
    return out
