from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import agents.fitting
import agents.training
from agents import Controller
from snn.siamese import SiameseNet
from snn.stages import DEFAULT_STAGES


@pytest.fixture
def short_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = tuple(replace(stage, n_steps=2, batch_size=8) for stage in DEFAULT_STAGES)
    monkeypatch.setattr(agents.fitting, "STAGES", {"imagenet": stages, "shipped": stages})


def test_fits_a_reward_model_that_can_be_used(
    gan_gym_command, patch_folder, tmp_path, short_stages, train_quickly, capsys
) -> None:
    out = tmp_path / "new" / "snn"
    flags = [
        "--data",
        patch_folder,
        "--batch_size",
        8,
        "--image_size",
        16,
        "--start",
        "shipped",
        "--out",
        out,
    ]
    assert gan_gym_command("fit-snn", *flags) == 0
    assert "verification AUC on 8 held-out patches" in capsys.readouterr().out
    assert sorted(p.name for p in out.iterdir()) == ["history.json", "model.json", "model.safetensors"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["snn"]
    provenance = SiameseNet.load(out).provenance
    assert (provenance["start"], provenance["n_patches"]) == ("shipped", 32)
    assert train_quickly(tmp_path / "run", "--dry_run", reward_model=out) == 0


def test_a_single_region_to_train_on_is_no_stage(gan_gym_command, tmp_path, short_stages) -> None:
    """Two regions, of which one is held out: stage 1 is left out."""
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        pixels = rng.integers(60, 200, (512, 512, 3), np.uint8)
        pixels[:, :, 1] //= 2
        Image.fromarray(pixels).save(tmp_path / "data" / f"{name}.png")
    flags = ["--data", tmp_path / "data", "--image_size", 128, "--batch_size", 8, "--start", "shipped"]
    assert gan_gym_command("fit-snn", *flags, "--out", tmp_path / "snn") == 0
    stages = {row["stage"] for row in json.loads((tmp_path / "snn" / "history.json").read_text())}
    assert stages == {stage.name for stage in DEFAULT_STAGES if stage.source == "patches"}


def test_a_signal_leaves_nothing_half_written(
    gan_gym_command, patch_folder, tmp_path, short_stages, monkeypatch
) -> None:
    monkeypatch.setattr(SiameseNet, "save", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    flags = ["--data", patch_folder, "--batch_size", 8, "--image_size", 16, "--start", "shipped"]
    assert gan_gym_command("fit-snn", *flags, "--out", tmp_path / "snn") == 85
    assert list(tmp_path.iterdir()) == []


def test_fits_a_controller_that_can_be_used(gan_gym_command, tmp_path, train_quickly, monkeypatch) -> None:
    real = agents.training.make_env
    monkeypatch.setattr("sys.argv", ["gan-gym", "fit-controller"])
    monkeypatch.setattr(
        agents.training, "make_env", lambda *a, **k: real(*a, **k, inner_steps=1, episode_steps=3)
    )
    flags = ["--env", "GridGAN-v0", "--algo", "a2c", "--total_timesteps", 20, "--n_envs", 2, "--out"]
    assert gan_gym_command("fit-controller", *flags, tmp_path / "c", "--knobs", "g_lr,d_lr") == 0
    controller = Controller.load(tmp_path / "c")
    assert controller.knobs == ("g_lr", "d_lr")
    assert controller.card["command"] == "gan-gym fit-controller"
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["controller.json", "policy.safetensors"]
    assert train_quickly(tmp_path / "run", controller=tmp_path / "c", n_images=16) == 0
    assert train_quickly(tmp_path / "other", controller=tmp_path / "c", knobs="g_lr") == 2
