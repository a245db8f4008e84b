"""Data and reward models are read once, and again where their files have changed since."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import gan_gym.envs.histogan
from gan_gym.rewards import load_reward_model
from snn.siamese import SiameseNet
from tests.gan_gym.envs.conftest import Make

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan_gym.envs.histogan, "N_SCORED", 16)


def fit(folder: Path, seed: int) -> Path:
    SiameseNet(pretrained=False, depth=1, embedding_dim=8, seed=seed).save(folder)
    return folder


def test_environments_on_one_folder_share_what_is_read(
    make: Make, patch_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    load = gan_gym.envs.histogan.load_patches
    monkeypatch.setattr(
        gan_gym.envs.histogan, "load_patches", lambda *a, **k: (reads.append(a), load(*a, **k))[1]
    )
    first, second = (make("HistoGAN-v0", data=str(patch_folder), image_size=24) for _ in range(2))
    assert first.problem is second.problem
    assert len(reads) == 1


def test_images_that_changed_are_read_again(make: Make, patch_folder: Path, tmp_path: Path) -> None:
    data = shutil.copytree(patch_folder, tmp_path / "data")

    def problem() -> Any:
        return make("HistoGAN-v0", data=str(data), image_size=16).problem

    before = problem()
    changed = sorted(data.rglob("*.png"))[0]
    Image.new("RGB", (32, 32), (255, 0, 0)).save(changed)
    after = problem()
    assert (before.shown[0] != after.shown[0]).any()
    assert torch.equal(before.shown[-1], after.shown[-1])
    changed.unlink()
    assert not torch.equal(problem().shown[0], after.shown[0])


def test_a_relative_path_means_another_folder_elsewhere(
    make: Make, patch_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for number, name in enumerate(("here", "there")):
        fit(tmp_path / name / "model", seed=number)
        shutil.copytree(patch_folder, tmp_path / name / "data", dirs_exist_ok=True)
        for image in (tmp_path / name / "data").rglob("*.png"):
            Image.open(image).rotate(90 * number).save(image)
        monkeypatch.chdir(tmp_path / name)
        shown.append(make("HistoGAN-v0", data="data", reward_model="model", image_size=16).problem.shown)
    assert not torch.equal(*shown)


@pytest.mark.parametrize("env_id", ["HistoGAN-v0", "StackedDigitsGAN-v0"])
def test_a_reward_model_that_was_fitted_again_is_loaded_again(
    env_id: str, make: Make, patch_folder: Path, tmp_path: Path
) -> None:
    data = {"data": str(patch_folder), "image_size": 16} if env_id == "HistoGAN-v0" else {}
    folder = fit(tmp_path / "model", seed=0)
    first = load_reward_model(folder, CPU)
    assert load_reward_model(folder, CPU) is first

    def problem() -> Any:
        return make(env_id, reward_model=str(folder), **data).problem

    before = problem()
    assert problem() is before
    fit(folder, seed=1)
    second = load_reward_model(str(folder), CPU)
    assert not torch.equal(first.head[1].weight, second.head[1].weight)
    after = problem()
    x = before.shown[:4]
    assert not torch.equal(*(each.scorer.views[0].features(x) for each in (before, after)))
