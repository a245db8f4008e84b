"""What `benchmarks.faults` prints is what it found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time

import pytest

import benchmarks.faults
import benchmarks.fuzz
import benchmarks.kills
from benchmarks.faults import main
from benchmarks.fuzz import TARGETS
from benchmarks.kills import _aim, digests, kill_runs, moment
from benchmarks.wrong_inputs import Case


def test_kept_promises_are_printed(tmp_path, capsys) -> None:
    out = tmp_path / "new" / "faults"
    groups = ["--groups", "hostile_files", "fuzz", "--executions", "100"]
    assert main([*groups, "--out", str(out)]) == 0
    found = json.loads((out / "faults.json").read_text())
    n = sum(round(100 * target.share) for target in TARGETS.values())
    assert (found["fuzz_runs"], found["crashes"], found["loaded"]) == (n, 0, 0)
    groups = found["groups"]
    assert groups["fuzz"]["said"] == f"{n} executions of {len(TARGETS)} parsers, 0 crashes"
    assert f"{found['hostile_files']} refused, none executed" in groups["hostile_files"]["said"]
    assert (out / "table.md").read_text() in capsys.readouterr().out
    assert not (out / "crashes").exists()


def test_a_broken_promise_ends_with_1_and_keeps_the_bytes(tmp_path, monkeypatch, capsys) -> None:
    def fuzz(name, n, folder, seed):
        yield benchmarks.fuzz.Crash(name, seed, "KeyError(1)", b"bytes")

    monkeypatch.setattr(benchmarks.faults, "fuzz", fuzz)
    assert main(["--groups", "fuzz", "--executions", "8", "--out", str(tmp_path)]) == 1
    assert "| NO |" in capsys.readouterr().out
    assert (tmp_path / "crashes" / "image_0").read_bytes() == b"bytes"
    assert json.loads((tmp_path / "faults.json").read_text())["crashes"] == len(TARGETS)


def test_counts_of_the_contract_are_numbers_of_what_was_kept_and_what_was_not(tmp_path, monkeypatch) -> None:
    def kill_runs(arguments, folder, n, seed):
        yield benchmarks.kills.KilledRun(["training", "writing"], [])
        yield benchmarks.kills.KilledRun(["training"] * (n - 2), ["metrics.jsonl"])

    monkeypatch.setattr(benchmarks.faults, "kill_runs", kill_runs)
    cases = [Case("good", ("doctor",), "no error"), Case("typo", ("trian",), "train")]
    monkeypatch.setattr(benchmarks.faults, "CASES", cases)
    assert main(["--quick", "--groups", "kills", "wrong_inputs", "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "faults.json").read_text())
    assert {key: n for key, n in found.items() if key != "groups"} == {
        "kills": benchmarks.faults.QUICK["kills"],
        "survived": 2,
        "bad_inputs": 2,
        "answered": 1,
    }


def test_killed_runs_end_as_an_undisturbed_one(tmp_path, patch_folder, monkeypatch) -> None:
    aims = iter(("training", "writing"))
    monkeypatch.setattr(benchmarks.kills, "_aim", lambda run, rng: next(aims))
    flags = "--controller cosine --reward_model shipped --n_images 1600 --batch_size 8 --inner_steps 2"
    flags += " --image_size 16 --evaluate false --device cpu"
    command = ["train", "--data", str(patch_folder), *flags.split()]
    runs = list(kill_runs(command, tmp_path, 2))
    assert [run.kills for run in runs] == [["training", "writing"]]
    assert runs[0].different == []
    assert len(digests(tmp_path / "whole")) > 4


FORGETFUL = """
import pathlib, sys, time
out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
resumed = (out / "config.yaml").exists()
(out / "config.yaml").touch()
(out / "metrics.jsonl").write_text("other" if resumed else "same")
time.sleep(2)
"""


def test_another_end_is_noticed(tmp_path, monkeypatch) -> None:
    def start(command, out):
        return subprocess.Popen(
            [sys.executable, "-c", FORGETFUL, str(out)], stderr=subprocess.PIPE, text=True
        )

    monkeypatch.setattr(benchmarks.kills, "_start", start)
    monkeypatch.setattr(benchmarks.kills, "_aim", lambda run, rng: "training")
    (run,) = kill_runs([], tmp_path, 1)
    assert run.different == ["metrics.jsonl"]
    assert run.kills == ["training"]


def test_a_run_that_fails_is_an_error(tmp_path, monkeypatch) -> None:
    def start(command, out):
        script = "import sys; sys.exit('no memory')"
        return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)

    monkeypatch.setattr(benchmarks.kills, "_start", start)
    with pytest.raises(RuntimeError, match="ended with 1: no memory"):
        list(kill_runs([], tmp_path, 1))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "starting"),
        (["config.yaml"], "fitting"),
        (["config.yaml", "snn/model.json"], "starting"),
        ([".snn.fit/.ckpt-000000100.part/x"], "writing"),
        (["metrics.jsonl"], "training"),
        (["metrics.jsonl", "checkpoints/.ckpt-000000100.part/x"], "writing"),
        (["metrics.jsonl", "generator.json"], "ending"),
    ],
)
def test_the_moment_of_a_kill_is_told_by_what_is_left(tmp_path, files, said) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert moment(tmp_path, time.time() - 60) == said
    assert moment(tmp_path, time.time() + 60) == "starting"  # all of it is an earlier process's


def test_what_a_run_has_behind_it_is_not_aimed_at(tmp_path) -> None:
    rng = random.Random(0)
    assert {_aim(tmp_path, rng) for _ in range(50)} == {"", "fitting", "training", "writing"}
    (tmp_path / "snn").mkdir()
    assert {_aim(tmp_path, rng) for _ in range(50)} == {"", "training", "writing"}
