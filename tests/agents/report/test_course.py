"""The course of a run in numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from agents.course import knob_moves
from agents.pictures import draw_knobs
from agents.run_record import read_run

WriteRun = Callable[..., Path]
Rows = list[dict[str, object]]


def test_moves_against_a_limit_are_not_counted(tmp_path: Path, write_run: WriteRun, rows: Rows):
    run = write_run(tmp_path / "run")
    for row, value in zip(rows, (0.5, 0.25, 0.0, 0.0, 0.0, 0.1), strict=False):
        row |= {"beta1": value, "action_beta1": -1.0 if value < 0.1 else 1.0}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:6]))
    head, moves = knob_moves(read_run(run))
    beta1 = dict(zip(head, next(row for row in moves if row[0] == "beta1"), strict=True))
    assert (beta1["first"], beta1["lowest"], beta1["highest"], beta1["last"]) == ("0.5", "0", "0.5", "0.1")
    assert (beta1["times raised"], beta1["times lowered"]) == ("1", "2")


def test_a_knob_whose_values_were_not_recorded_is_still_drawn(
    tmp_path: Path, write_run: WriteRun, rows: Rows
):
    run = write_run(tmp_path / "run")
    for row in rows:
        row["g_lr"] = None
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = read_run(run)
    assert "g_lr" in record.knobs
    assert draw_knobs(record).startswith(b"\x89PNG")
    assert next(row for row in knob_moves(record)[1] if row[0] == "g_lr")[1] == "-"
