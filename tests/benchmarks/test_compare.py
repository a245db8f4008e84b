from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

import benchmarks.playing
from agents import Controller
from agents.controller import build_policy, policy_arguments
from agents.evaluation import Episode
from benchmarks.compare import main
from benchmarks.comparison_rows import read_rows
from benchmarks.playing import Batch
from gan_gym.observations import OBSERVATIONS

KNOBS = ("g_lr", "d_lr", "instance_noise")
TINY = {"inner_steps": 1, "episode_steps": 2, "batch_size": 8}
BASE = ["--env", "RingGAN-v0", "--episodes", "2", "--processes", "1", "--env_kwargs", json.dumps(TINY)]
CONTRACT = "agent env seed instance final_quality best_quality modes modes20 hq end inner_steps"


def compare(out: Path, *arguments: str, agents: tuple[str, ...] = (), baselines: tuple[str, ...] = ()) -> int:
    return main([*BASE, "--out", str(out), *arguments, "--agents", *agents, "--baselines", *baselines])


def rows_of(out: Path) -> list[dict[str, Any]]:
    return read_rows(out / "results.jsonl")


def save_controller(folder: Path, mean: float = 0.0) -> Path:
    n_rows = len(OBSERVATIONS) + 2 * len(KNOBS)
    means, ones = np.full(n_rows, mean, np.float32), np.ones(n_rows, np.float32)
    Controller("ppo", build_policy("ppo", KNOBS), KNOBS, means, ones, {}).save(folder)
    return folder


def test_writes_what_the_contract_names_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(tmp_path, baselines=("constant",)) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.jsonl",
        "summary.json",
        "table.md",
        "plot.png",
    }
    first = (tmp_path / "results.jsonl").read_text()
    assert compare(tmp_path, baselines=("constant", "random")) == 0
    rows = rows_of(tmp_path)
    assert (tmp_path / "results.jsonl").read_text().startswith(first)
    assert [row["agent"] for row in rows] == ["constant", "constant", "random", "random"]
    assert rows[0]["instance"] == rows[2]["instance"] != rows[1]["instance"]
    assert set(CONTRACT.split()) <= set(rows[0])
    assert {"kernel", "best_modes20", "best_hq", "setting", "failed", "commit"} <= set(rows[0])
    assert rows[0]["command"].startswith("python -m benchmarks.compare --env RingGAN-v0")
    assert rows[0]["env_kwargs"] == {"instances": "test", **TINY}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["constant"]["final_quality"]) == {
        "iqm",
        "mean",
        "failed",
        "failed_interval",
        "paired",
        "probability_of_improvement",
    }
    assert "constant" in capsys.readouterr().out


def test_nothing_is_run_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after an interrupt in the middle of a line, nor where more instances are asked for."""
    compare(tmp_path, baselines=("constant",))
    file = tmp_path / "results.jsonl"
    whole = file.read_text()
    file.write_text(whole[: len(whole) - 9])
    played = []
    play_batch = benchmarks.playing.play_batch

    def spy(batch: Batch) -> Any:
        played.extend(seed for _, _, seed in batch.runs)
        return play_batch(batch)

    monkeypatch.setattr(benchmarks.playing, "play_batch", spy)
    compare(tmp_path, "--episodes", "3", baselines=("constant",))
    assert played == [1, 2]
    assert [row["seed"] for row in rows_of(tmp_path)] == [0, 1, 2]
    assert file.read_text().startswith(whole.splitlines()[0])


@pytest.mark.parametrize(
    "arguments",
    [("--instances", "train"), ("--env_kwargs", "{}"), ("--env", "GridGAN-v0")],
    ids=["instances", "arguments", "environment"],
)
def test_results_of_another_comparison_are_not_continued(
    arguments: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(tmp_path, baselines=("constant",))
    before = (tmp_path / "results.jsonl").read_text()
    assert compare(tmp_path, *arguments, baselines=("constant",)) == 2
    assert "made otherwise" in capsys.readouterr().err
    assert (tmp_path / "results.jsonl").read_text() == before


def test_controllers_that_differ_in_their_seed_are_one_agent(tmp_path: Path) -> None:
    for seed in (3, 5):
        save_controller(tmp_path / "mine" / f"seed_{seed}", mean=seed)
    other = save_controller(tmp_path / "other")
    listed = f"listed={tmp_path / 'mine' / 'seed_5'},{other}"
    assert compare(tmp_path / "out", agents=(str(tmp_path / "mine"), listed)) == 0
    rows = rows_of(tmp_path / "out")
    trained = {(row["agent"], row["training_seed"], row["seed"]) for row in rows}
    assert trained == {("mine", s, i) for s in (3, 5) for i in (0, 1)} | {
        ("listed", s, i) for s in (0, 1) for i in (0, 1)
    }
    origin = {(row["agent"], row["training_seed"]): row["controller"] for row in rows}
    assert origin["mine", 5] == origin["listed", 0]
    assert origin["mine", 3] != origin["mine", 5] != ""
    save_controller(tmp_path / "mine" / "seed_3", mean=9)
    assert compare(tmp_path / "out", agents=(str(tmp_path / "mine"),)) == 2, "another controller's rows"


def test_algorithms_are_trained_on_the_spot_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = ("--total_timesteps", "24", "--n_envs", "2", "--seeds", "2", "--seed_offset", "4")
    assert compare(tmp_path, *training, agents=("a2c",)) == 0
    assert {(row["agent"], row["training_seed"], row["seed"]) for row in rows_of(tmp_path)} == {
        ("a2c", s, i) for s in (4, 5) for i in (4, 5)
    }
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("controllers/a2c/*/controller.json")}
    assert len(made) == 2
    assert compare(tmp_path, *training, agents=("a2c",)) == 0
    assert made == {path: path.stat().st_mtime_ns for path in made}
    for name, value in (("--total_timesteps", "25"), ("--n_envs", "3")):
        assert compare(tmp_path, *training, name, value, agents=("a2c",)) == 2
        assert "trained otherwise" in capsys.readouterr().err


def test_a_model_that_was_trained_again_is_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        model = PPO("MlpPolicy", gym.make("GridGAN-v0"), policy_kwargs=policy_arguments("ppo"), seed=seed)
        model.save(tmp_path / "model.zip")
        found = compare(tmp_path / "out", agents=(f"mine={tmp_path / 'model.zip'}",))
        assert found == 2 * seed
    assert "made otherwise" in capsys.readouterr().err


def test_every_setting_is_a_section_of_its_own(tmp_path: Path) -> None:
    settings = ("--setting", "default", "outside", "pacgan", "--fraction", "0.0001")
    assert compare(tmp_path, *settings, baselines=("constant", "tuned_schedule")) == 0
    rows = rows_of(tmp_path)
    assert [len({r["instance"] for r in rows if r["setting"] == s}) for s in settings[1:4]] == [2, 2, 2]
    table = (tmp_path / "table.md").read_text()
    for setting in settings[1:4]:
        assert f"## RingGAN-v0, {setting}\n" in table
    assert table.count("last model") == table.count("best-so-far model") == 3
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == [
        "constant",
        "tuned_schedule",
        "constant @ outside",
        "tuned_schedule @ outside",
        "constant @ pacgan",
        "tuned_schedule @ pacgan",
    ]
    assert set(summary["constant @ pacgan"]["kernel"]["paired"]) == {"tuned_schedule"}


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("--baselines", "cosin"), "did you mean 'cosine'"),
        (("--agents", "tuned_constnt"), "did you mean 'tuned_constant'"),
        (("--setting", "edgy"), "did you mean 'edge'"),
        (("--setting", "weak_d"), "not of GridGAN-v0"),
        (("--setting", "pacgan", "--fraction", "2"), "fraction is 2.0"),
        (("--agents", "constant", "--baselines", "constant"), "two agents are called 'constant'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = ["--agents", "--baselines", "constant"]
    assert main(["--out", str(tmp_path / "out"), *others, *arguments]) == 2
    error = capsys.readouterr().err
    assert near in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_all_fields_of_an_episode_are_in_a_row(tmp_path: Path) -> None:
    compare(tmp_path, baselines=("constant",))
    assert set(Episode.__dataclass_fields__) - {"measured"} <= set(rows_of(tmp_path)[0])
