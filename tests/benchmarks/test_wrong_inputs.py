"""Every wrong input of the catalogue gets one line with the remedy, and leaves nothing behind."""

from __future__ import annotations

import shutil

import pytest

from agents.cli import COMMANDS
from benchmarks.wrong_inputs import CASES, Case, shortcoming


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name[-50:])
def test_gets_one_line_and_leaves_nothing(case: Case, tmp_path, patch_folder, finished_run) -> None:
    if "RUN" in case.arguments:
        shutil.copytree(finished_run, tmp_path / "RUN")
    assert shortcoming(case, tmp_path, patch_folder) is None


def test_the_catalogue_is_large_and_covers_every_command() -> None:
    assert len(CASES) >= 150
    assert len({(case.name, case.arguments) for case in CASES}) == len(CASES)
    assert {case.arguments[0] for case in CASES if case.arguments} >= set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message", "said"),
    [
        (("doctor",), "x", "ended with 0"),
        (("report", "--run", "nope"), "no such words", "without 'no such words'"),
    ],
)
def test_a_wrong_answer_is_noticed(tmp_path, patch_folder, arguments, message, said) -> None:
    found = shortcoming(Case("toy", arguments, message), tmp_path, patch_folder)
    assert found is not None
    assert said in found


def test_what_is_left_behind_is_noticed(tmp_path, patch_folder, monkeypatch) -> None:
    def careless(argv: list[str]) -> int:
        (tmp_path / "litter").touch()
        import sys

        print("error: x", file=sys.stderr)  # noqa: T201
        return 2

    monkeypatch.setattr("agents.cli.main", careless)
    assert "litter" in str(shortcoming(Case("toy", ("doctor",), "x"), tmp_path, patch_folder))
