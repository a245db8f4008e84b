"""The verdict names what each kind of run shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.run_record import read_run
from agents.verdict import judge

WriteRun = Callable[..., Path]
Rows = list[dict[str, object]]


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("healthy", "healthy", "differ as real patches do"),
        ("collapsing", "collapsing", "too much alike"),
        ("worse", "collapsing", "better before"),
        ("diverged", "diverged", "env step 40"),
        ("weak", "not enough evidence", "no longer rising"),
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


@pytest.mark.parametrize("n_steps", [0, 1, 4])
def test_a_few_steps_are_no_evidence(tmp_path: Path, write_run: WriteRun, n_steps: int):
    verdict = judge(read_run(write_run(tmp_path / "run", n_steps=n_steps)))
    assert verdict.state == "not enough evidence"
    assert f"{n_steps} env steps" in verdict.reason


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


def test_memorisation_is_a_caution(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    assert judge(read_run(run)).cautions == ()
    (run / "evaluation.json").write_text('{"memorisation": {"value": 0.4, "low": 0.3, "high": 0.5}}')
    assert "memorising" in judge(read_run(run)).cautions[0]
