"""A disk that is full, read-only or gone ends a run in one line, and costs one checkpoint at most."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import gan_gym.checkpoint
from gan_gym.checkpoint import load_checkpoint
from gan_gym.envs.histogan import HistoGANEnv


def ends(run: Path) -> dict[str, bytes]:
    names = ("generator.safetensors", "best/generator.safetensors", "metrics.jsonl")
    return {name: (run / name).read_bytes() for name in names}


@pytest.fixture
def stopped(train_quickly, tmp_path, monkeypatch) -> Path:
    """A run of ten env steps that was killed after the third."""
    real, count = HistoGANEnv.step, [0]

    class Killed(BaseException):
        pass

    def step(self, action):
        count[0] += 1
        if count[0] == 4:
            raise Killed
        return real(self, action)

    with monkeypatch.context() as patch:
        patch.setattr(HistoGANEnv, "step", step)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    return tmp_path / "run"


def _said(capsys) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(
    train_quickly, stopped, finished_run, patch_folder
) -> None:
    before = load_checkpoint(stopped / "checkpoints")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); "
        "from agents import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", limited, "train", "--out", str(stopped), "--resume", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "error: cannot write a checkpoint to" in ended.stderr
    assert "File too large" in ended.stderr
    assert load_checkpoint(stopped / "checkpoints")[1] == before[1]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000
    assert train_quickly(stopped, "--resume") == 0
    assert ends(stopped) == ends(finished_run)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_what_the_system_says_is_passed_on(
    train_quickly, stopped, finished_run, monkeypatch, capsys, number
) -> None:
    real, count = gan_gym.checkpoint.write_synced, [0]

    def write(path: Path, content: bytes) -> None:
        count[0] += 1
        if count[0] == 8:
            raise OSError(number, os.strerror(number))
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(gan_gym.checkpoint, "write_synced", write)
        assert train_quickly(stopped, "--resume") == 2
    said = _said(capsys)
    assert os.strerror(number) in said
    assert "--resume" in said
    assert train_quickly(stopped, "--resume") == 0
    assert ends(stopped) == ends(finished_run)


def test_a_folder_that_vanishes_is_not_made_again(
    train_quickly, tmp_path, finished_run, monkeypatch, capsys
) -> None:
    run, away = tmp_path / "run", tmp_path / "away"
    real, count = HistoGANEnv.step, [0]

    def step(self, action):
        count[0] += 1
        if count[0] == 5:
            run.rename(away)
        return real(self, action)

    with monkeypatch.context() as patch:
        patch.setattr(HistoGANEnv, "step", step)
        assert train_quickly(run) == 2
    said = _said(capsys)
    assert "No such file or directory" in said
    assert f"'{run}/" in said
    assert not run.exists()
    away.rename(run)
    assert train_quickly(run, "--resume") == 0
    assert ends(run) == ends(finished_run)
