from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import agents.fit_checkpoints
import agents.fitting
import agents.training
from agents import Controller
from snn.presets import PRESETS, Preset
from snn.siamese import SiameseNet
from snn.stage_files import load_stages
from snn.stages import DEFAULT_STAGES


@pytest.fixture
def short_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refine the network that ships in two steps a stage."""
    stages = tuple(replace(stage, n_steps=2, batch_size=8) for stage in DEFAULT_STAGES)
    monkeypatch.setitem(agents.fitting.STAGES, "shipped", stages)


@pytest.fixture
def small_paper(monkeypatch: pytest.MonkeyPatch) -> Preset:
    """The preset `paper` on a small network, two steps a stage."""
    paper = PRESETS["paper"]
    stages = tuple(replace(stage, n_steps=2, batch_size=8) for stage in paper.stages)
    small = replace(paper, backbone="resnet10t", depth=2, stages=stages)
    monkeypatch.setitem(PRESETS, "paper", small)
    return small


def _options(patch_folder: Path, *more: object) -> list[object]:
    return ["--data", patch_folder, "--batch_size", 8, "--image_size", 16, *more]


def test_fits_a_reward_model_that_can_be_used(
    gan_gym_command, patch_folder, tmp_path, short_stages, train_quickly, capsys
) -> None:
    out = tmp_path / "new" / "snn"
    assert gan_gym_command("fit-snn", *_options(patch_folder, "--start", "shipped", "--out", out)) == 0
    printed = capsys.readouterr().out
    assert "40 patches from unknown slides, 2 classes (one 20, two 20); 0 regions for stage 1" in printed
    assert "stages: patches (2 steps); left out, as there are no regions to fit on: regions" in printed
    assert "verification AUC on 8 held-out patches" in printed
    assert re.search(r"history.png in .*snn, after \d+ s", printed)
    files = ["history.json", "history.png", "model.json", "model.safetensors"]
    assert sorted(p.name for p in out.iterdir()) == files
    assert sorted(p.name for p in out.parent.iterdir()) == ["snn"]
    provenance = SiameseNet.load(out).provenance
    assert (provenance["preset"], provenance["start"], provenance["n_patches"]) == ("fast", "shipped", 32)
    history = json.loads((out / "history.json").read_text())
    assert 0 <= history["final_auc"] <= 1
    assert [row["auc"] is not None for row in history["rows"]] == [True, True]
    with Image.open(out / "history.png") as picture:
        assert picture.size == (1100, 770)
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
    rows = json.loads((tmp_path / "snn" / "history.json").read_text())["rows"]
    assert {row["stage"] for row in rows} == {s.name for s in DEFAULT_STAGES if s.source == "patches"}


def test_a_preset_is_fitted_from_given_weights_by_given_stages(
    gan_gym_command, patch_folder, tmp_path, small_paper, capsys
) -> None:
    assert gan_gym_command("fit-snn", "--preset", "paper", "--print_stages") == 0
    stages = tmp_path / "stages.yaml"
    stages.write_text(re.sub(r"lr: \S+", "lr: 0.0", capsys.readouterr().out))
    assert load_stages(stages) == tuple(replace(stage, lr=0.0) for stage in small_paper.stages)
    whole = timm.create_model("resnet10t", pretrained=False).state_dict()
    save_file(whole, tmp_path / "resnet.safetensors")
    flags = ["--preset", "paper", "--stages", stages, "--weights", tmp_path / "resnet.safetensors"]
    assert gan_gym_command("fit-snn", *_options(patch_folder, *flags, "--out", tmp_path / "snn")) == 0
    rows = json.loads((tmp_path / "snn" / "history.json").read_text())["rows"]
    assert [row["stage"] for row in rows] == ["reconstruction", "reconstruction", "patches", "patches"]
    model = SiameseNet.load(tmp_path / "snn")
    torch.testing.assert_close(model.backbone.network.layer1[0].conv1.weight, whole["layer1.0.conv1.weight"])
    assert [stage["lr"] for stage in model.provenance["stages"]] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--preset", "papper"),
            "unknown preset 'papper'; did you mean 'paper'? Known: fast, paper, standard.",
        ),
        (("--preset", "paper", "--start", "shipped"), "--start shipped is a network of the preset fast"),
        (
            ("--weights", "none.safetensors"),
            "--weights 'none.safetensors' does not exist; give a safetensors",
        ),
        (("--weights", "."), "--weights '.' is no file"),
        (("--weights", __file__, "--start", "random"), "--weights and --start random are two starts"),
        (("--weights", __file__), "is not a readable safetensors file"),
        (("--stages", "none.yaml"), "'none.yaml' does not exist; give a YAML file of stages"),
        (("--stages", __file__), "no readable YAML"),
        (("--start", "imagnet"), "--start is 'imagnet'; give one of preset, imagenet, random, shipped"),
    ],
)
def test_what_cannot_be_started_from_is_said_in_one_line(
    gan_gym_command, patch_folder, tmp_path, capsys, flags, message
) -> None:
    assert gan_gym_command("fit-snn", *_options(patch_folder, *flags, "--out", tmp_path / "snn")) == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line and not line.startswith("warning: ")
    ]
    assert line.startswith("error: ")
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_overflows_is_said_in_one_line(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    (tmp_path / "stages.yaml").write_text("- {name: wild, lr: 1e30, n_steps: 9, batch_size: 8}")
    flags = ["--stages", tmp_path / "stages.yaml", "--start", "random", "--out", tmp_path / "snn"]
    assert gan_gym_command("fit-snn", *_options(patch_folder, *flags)) == 2
    assert "error: the loss of stage 'wild' is nan at step" in capsys.readouterr().err
    assert not (tmp_path / "snn").exists()


def test_classes_of_one_patch_are_named_and_hinder_nothing(
    gan_gym_command, patch_folder, tmp_path, short_stages, capsys
) -> None:
    shutil.copytree(patch_folder, tmp_path / "data")
    rng = np.random.default_rng(1)
    for name in ("rare", "unique"):
        (tmp_path / "data" / name).mkdir()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "data" / name / "a.png")
    flags = _options(tmp_path / "data", "--start", "shipped", "--held_out", 0.03, "--out", tmp_path / "snn")
    assert gan_gym_command("fit-snn", *flags) == 0
    captured = capsys.readouterr()
    assert "4 classes (one 20, rare 1, two 20, unique 1)" in captured.out
    assert "warning: one patch to fit on in 'unique': it makes no pair of its class" in captured.err


def test_patches_without_classes_are_fitted(
    gan_gym_command, patch_folder, tmp_path, short_stages, capsys
) -> None:
    flags = _options(patch_folder / "one", "--start", "shipped", "--out", tmp_path / "snn")
    assert gan_gym_command("fit-snn", *flags) == 0
    assert "20 patches from unknown slides, no classes" in capsys.readouterr().out


def test_a_signal_leaves_nothing_half_written(
    gan_gym_command, patch_folder, tmp_path, short_stages, monkeypatch
) -> None:
    monkeypatch.setattr(SiameseNet, "save", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    flags = ["--data", patch_folder, "--batch_size", 8, "--image_size", 16, "--start", "shipped"]
    assert gan_gym_command("fit-snn", *flags, "--out", tmp_path / "snn") == 85
    (left,) = tmp_path.iterdir()
    assert [path.name for path in left.iterdir() if not path.name.startswith(".")] == ["begun"]


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


class Killed(BaseException):
    pass


def _kill_at_save(monkeypatch: pytest.MonkeyPatch, nth: int, error: type[BaseException] = Killed) -> None:
    """Stop the fit right after its nth checkpoint; one is written every step."""
    save, n = agents.fit_checkpoints.FitCheckpoints.save, 0

    def save_and_die(self, state) -> None:
        nonlocal n
        save(self, state)
        n += 1
        if n == nth:
            raise error

    monkeypatch.setattr(agents.fit_checkpoints.FitCheckpoints, "save", save_and_die)


@pytest.fixture
def kept_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    finetune = agents.fitting.finetune
    monkeypatch.setattr(agents.fitting, "finetune", lambda *a, **k: finetune(*a, **k, keep_every=1))


def test_a_killed_fit_goes_on_and_ends_as_an_undisturbed_one(
    gan_gym_command, patch_folder, tmp_path, small_paper, kept_every_step, monkeypatch, capsys
) -> None:
    def fit(name: str, *flags: object) -> int:
        return gan_gym_command(
            "fit-snn", *_options(patch_folder, "--preset", "paper", "--out", tmp_path / name, *flags)
        )

    assert fit("whole") == 0
    for nth in (1, 2, 1):  # in the first stage, where it ends, and in the last
        with monkeypatch.context() as patch:
            _kill_at_save(patch, nth)
            with pytest.raises(Killed):
                fit("killed", *([] if nth == 1 and not (tmp_path / ".killed.fit").exists() else ["--resume"]))
        assert not (tmp_path / "killed").exists()
    assert fit("killed") == 2
    assert "continue it with --resume, or remove" in capsys.readouterr().err
    assert fit("killed", "--resume", "--seed", 1) == 2
    assert "the fit that was stopped had another seed" in capsys.readouterr().err
    assert fit("killed", "--resume") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
    for file in ("model.safetensors", "history.json", "history.png"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_a_fit_stopped_before_its_first_checkpoint_begins_again(
    gan_gym_command, patch_folder, tmp_path, short_stages, monkeypatch, capsys
) -> None:
    flags = _options(patch_folder, "--start", "shipped", "--out", tmp_path / "snn")
    for error, code, left in (
        (FileNotFoundError(2, "gone", "x"), 2, []),
        (KeyboardInterrupt(), 85, [".snn.fit"]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(agents.fitting, "fit_snn", partial(_raise, error))
            assert gan_gym_command("fit-snn", *flags) == code
        assert [path.name for path in tmp_path.iterdir()] == left
    assert "continue with the same command and --resume" in capsys.readouterr().err
    assert gan_gym_command("fit-snn", *flags, "--resume") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["snn"]


def _raise(error: BaseException, *_: object, **__: object) -> None:
    raise error


def test_a_signal_leaves_a_fit_to_continue(
    gan_gym_command, patch_folder, tmp_path, short_stages, kept_every_step, monkeypatch, capsys
) -> None:
    flags = _options(patch_folder, "--start", "shipped", "--out", tmp_path / "snn")
    assert gan_gym_command("fit-snn", *flags, "--resume") == 2
    assert "there is no fit of" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with monkeypatch.context() as patch:
        _kill_at_save(patch, 1, KeyboardInterrupt)
        assert gan_gym_command("fit-snn", *flags) == 85
    assert "stopped by a signal; continue with the same command and --resume" in capsys.readouterr().err
    assert gan_gym_command("fit-snn", *flags, "--resume") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["snn"]
