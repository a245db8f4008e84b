"""Patches that a run kept from training stay so."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from PIL import Image

from gan_gym.envs.histogan import HistoGANEnv


@pytest.fixture
def data(patch_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(patch_folder, tmp_path / "data"))


@pytest.fixture
def run(finished_run: Path, data: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished run, on data of its own."""
    copy = Path(shutil.copytree(finished_run, tmp_path / "run"))
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "data": str(data)}))
    return copy


def add_one(data: Path) -> None:
    first = next(file for file in sorted(data.rglob("*.png")))
    with Image.open(first) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(first.with_name("another.png"))


def test_a_run_is_evaluated_on_the_patches_that_it_kept(gan_gym_command, run, data, capsys) -> None:
    add_one(data)
    assert gan_gym_command("evaluate", "--run", run) == 2
    error = capsys.readouterr().err
    assert "the patches are not those that the run" in error
    assert "start anew" in error
    assert gan_gym_command("evaluate", "--run", run, "--on_bad_image", "convert") == 2
    assert "--on_bad_image goes with --real" in capsys.readouterr().err


def test_a_run_goes_on_with_the_patches_it_began_with(
    train_quickly, data, tmp_path, monkeypatch, capsys
) -> None:
    real, count = HistoGANEnv.step, [0]

    def step(self, action):
        count[0] += 1
        if count[0] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, action)

    with monkeypatch.context() as patch:
        patch.setattr(HistoGANEnv, "step", step)
        assert train_quickly(tmp_path / "new", data=data) == 85
    add_one(data)
    capsys.readouterr()
    assert train_quickly(tmp_path / "new", "--resume", data=data) == 2
    assert "the patches are not those" in capsys.readouterr().err
    next(data.rglob("another.png")).unlink()
    assert train_quickly(tmp_path / "new", "--resume", data=data) == 0


def test_what_is_damaged_is_said(gan_gym_command, run, capsys) -> None:
    (run / "data.json").write_text('{"train": 3}')
    assert gan_gym_command("evaluate", "--run", run) == 2
    assert "data.json' is damaged" in capsys.readouterr().err
