"""The promises in the documents are kept by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "promises.md").read_text().split("\n## ")[0].splitlines()
    if line.startswith("|")
][2:]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_every_promise_has_tests(row: list[str]) -> None:
    promise, tests, broken_by = row
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert promise
    assert named
    assert broken_by
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_promises_are_found_and_none_is_made_twice() -> None:
    assert len({row[0] for row in ROWS}) == len(ROWS) > 0
