"""The verdict names what each kind of run shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.run_record import read_run
from agents.verdict import MIN_STEPS_TO_STOP, judge

WriteRun = Callable[..., Path]
Rows = list[dict[str, object]]


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("healthy", "healthy", "differ as real patches do"),
        ("collapsing", "collapsing", "too much alike"),
        ("worse", "collapsing", "better before"),
        ("diverged", "diverged", "env step 40"),
        ("falling", "stop", "better before"),
        ("weak", "stop", "no longer rising"),
        ("young", "keep training", "still rising"),
    ],
)
def test_kinds_of_runs(tmp_path: Path, write_run: WriteRun, kind: str, state: str, words: str):
    verdict = judge(read_run(write_run(tmp_path / "run", kind)))
    assert verdict.state == state
    assert words in verdict.reason


def test_an_end_by_collapse_needs_no_further_evidence(tmp_path: Path, write_run: WriteRun, rows: Rows):
    run = write_run(tmp_path / "run")
    rows[2]["end"] = "collapsed"
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    assert judge(read_run(run)).state == "collapsing"


def test_every_verdict_says_what_to_do(tmp_path: Path, write_run: WriteRun):
    found = {}
    for kind in ("healthy", "collapsing", "worse", "falling", "diverged", "weak", "young"):
        verdict = judge(read_run(write_run(tmp_path / kind, kind)))
        assert verdict.advice in str(verdict)
        found[verdict.state] = verdict.advice
    assert len(set(found.values())) == len(found) == 5
    assert "with another --out" in found["keep training"]
    assert "give --n_images 128000" in found["keep training"]
    assert "--run worse/best" in found["collapsing"]


def test_a_run_too_short_to_judge_is_told_how_long_is_enough(tmp_path: Path, write_run: WriteRun, rows: Rows):
    run = write_run(tmp_path / "run")
    rows[0]["end"] = "budget"
    (run / "metrics.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert f"--n_images {MIN_STEPS_TO_STOP * 1600}" in judge(read_run(run)).advice


def test_no_checkpoint_of_noise_is_worth_going_back_to(tmp_path: Path, write_run: WriteRun, rows: Rows):
    run = write_run(tmp_path / "run", "collapsing")
    for row in rows:
        row |= {"quality": 0.1, "coverage": 0.01}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdict = judge(read_run(run))
    assert verdict.state == "collapsing"
    assert "best" not in verdict.advice.replace("Its best samples were no better", "")


def test_a_run_that_has_not_ended_is_to_go_on(tmp_path: Path, write_run: WriteRun):
    assert "--resume" in judge(read_run(write_run(tmp_path / "run", "young", n_steps=30))).advice


def test_a_plateau_after_a_few_steps_is_not_called_off(tmp_path: Path, write_run: WriteRun):
    assert judge(read_run(write_run(tmp_path / "run", "weak", n_steps=9))).state == "not enough evidence"
    assert judge(read_run(write_run(tmp_path / "more", "weak", n_steps=10))).state == "stop"


@pytest.mark.parametrize("n_steps", [0, 1, 4])
def test_a_few_steps_are_no_evidence(tmp_path: Path, write_run: WriteRun, n_steps: int):
    verdict = judge(read_run(write_run(tmp_path / "run", n_steps=n_steps)))
    assert verdict.state == "not enough evidence"
    assert f"finished env steps (decisions of the controller): {n_steps};" in verdict.reason


def test_low_diversity_while_quality_still_rises_is_not_yet_a_collapse(
    tmp_path: Path, write_run: WriteRun, rows: Rows
):
    run = write_run(tmp_path / "run")
    young = [{**row, "diversity": 0.3} for row in rows[:12]]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in young))
    assert "still rising" in judge(read_run(run)).reason


def test_one_bad_step_changes_nothing_and_one_that_is_not_finite_does(
    tmp_path: Path, write_run: WriteRun, rows: Rows
):
    run = write_run(tmp_path / "run")
    rows[30].update(quality=0.0, coverage=0.0, diversity=0.0)
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge(read_run(run)).state == "healthy"
    rows[-1]["g_loss"] = float("nan")
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge(read_run(run)).state == "diverged"


@pytest.mark.parametrize(
    ("high", "kind", "n"), [(0.19, "healthy", 1), (0.21, "healthy", 0), (0.1, "weak", 0)]
)
def test_a_healthy_run_that_the_evaluation_doubts_comes_with_a_caution(
    tmp_path: Path, write_run: WriteRun, high: float, kind: str, n: int
):
    run = write_run(tmp_path / "run", kind)
    (run / "evaluation.json").write_text(json.dumps({"coverage": {"value": 0.08, "low": 0.0, "high": high}}))
    assert len(judge(read_run(run)).cautions) == n


@pytest.mark.parametrize(
    ("low", "kind", "state", "cautions"),
    [
        (0.05, "healthy", "healthy", 0),
        (0.06, "healthy", "healthy", 1),
        (0.3, "healthy", "memorising", 0),
        (0.3, "weak", "memorising", 0),
        (0.3, "collapsing", "collapsing", 1),
        (0.3, "diverged", "diverged", 1),
    ],
)
def test_memorisation_is_a_caution_first_and_a_verdict_where_it_is_sure(
    tmp_path: Path, write_run: WriteRun, low: float, kind: str, state: str, cautions: int
):
    run = write_run(tmp_path / "run", kind)
    figure = {"value": 0.4, "low": low, "high": 0.5}
    (run / "evaluation.json").write_text(json.dumps({"memorisation": figure}))
    verdict = judge(read_run(run))
    assert (verdict.state, len(verdict.cautions)) == (state, cautions)
    if state == "memorising" or cautions:
        assert "40% of the samples" in verdict.reason + " ".join(verdict.cautions)
