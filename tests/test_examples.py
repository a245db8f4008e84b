"""The examples run, and what a controller takes of an unchanged loop is a few lines."""

from __future__ import annotations

import difflib
import runpy
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image

from agents import Controller

EXAMPLES = Path(__file__).parent.parent / "examples"
PLAIN, CONTROLLED = EXAMPLES / "dcgan.py", EXAMPLES / "dcgan_with_controller.py"
TINY = {"image_size": 16, "n_images": 64, "batch_size": 16, "num_epochs": 3, "nz": 4, "ngf": 4, "ndf": 4}


class Still:
    """A controller that keeps every knob."""

    knobs = ("g_lr", "d_lr", "instance_noise")
    attach = Controller.attach

    def predict(self, observation: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        return np.zeros(3, np.float32), state


def test_a_run_is_recorded_as_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gym.make
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["record_video.py"])
    monkeypatch.setattr(gym, "make", lambda *a, **k: real(*a, **k, inner_steps=1, episode_steps=3))
    found = runpy.run_path(str(EXAMPLES / "record_video.py"))
    (video,) = (tmp_path / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000
    assert found["info"]["env_step"] == 3


def test_gans_with_and_without_control_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gym.make
    small = {"HistoGAN-v0": {"image_size": 16, "batch_size": 4}}
    monkeypatch.setattr(sys, "argv", ["with_and_without.py", str(tmp_path / "picture.png"), "1"])
    monkeypatch.setattr(
        gym, "make", lambda id, **k: real(id, **k, **small.get(id, {}), inner_steps=1, episode_steps=2)
    )
    runpy.run_path(str(EXAMPLES / "with_and_without.py"))
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width > 800


def run(path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    given = [part for name, value in ({**TINY, **options}).items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", [str(path), "--out", str(out), *given])
    with torch.random.fork_rng():
        return runpy.run_path(str(path))


def test_the_controller_is_ten_lines_at_most() -> None:
    plain, controlled = (path.read_text().splitlines() for path in (PLAIN, CONTROLLED))
    changes = [line for line in difflib.ndiff(plain, controlled) if line[0] in "+-"]
    assert all(line[0] == "+" for line in changes)
    assert 0 < len(changes) <= 10


def test_the_plain_loop_knows_nothing_of_controllers() -> None:
    code = PLAIN.read_text().split('"""', 2)[2]
    assert "agents" not in code
    assert "ontroll" not in code


def test_a_controller_that_keeps_its_knobs_leaves_the_loop_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit: nothing is drawn, changed or reordered."""
    monkeypatch.setattr(Controller, "load", lambda name: Still())
    run(PLAIN, tmp_path / "plain", monkeypatch)
    found = run(CONTROLLED, tmp_path / "controlled", monkeypatch)
    assert found["controlled"].n_decisions == 8  # 64 images are known after four of twelve steps
    first, second = (torch.load(tmp_path / name / "netG.pt") for name in ("plain", "controlled"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_shipped_controller_turns_the_knobs_of_a_loop_on_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images" / "one").mkdir(parents=True)
    for i in range(80):
        image = rng.integers(0, 255, (20, 24, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / "images" / "one" / f"{i}.png")
    found = run(CONTROLLED, tmp_path / "run", monkeypatch, dataroot=tmp_path / "images")
    assert found["controlled"].n_decisions > 5
    assert found["optimizerG"].param_groups[0]["lr"] != 2e-4
    assert sorted(path.name for path in (tmp_path / "run").glob("*.png"))[-1] == "epoch-002.png"
