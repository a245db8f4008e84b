"""Broken bytes bring nothing but documented errors out of what reads a user's files."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from benchmarks.fuzz import TARGETS, broken, fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors_come_out(tmp_path, name) -> None:
    crashes = [crash for crash in fuzz(name, 200, tmp_path) if crash is not None]
    assert crashes == []


def test_the_shares_are_all_there_is() -> None:
    assert sum(target.share for target in TARGETS.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", TARGETS)
def test_good_content_is_read(tmp_path, name) -> None:
    """Otherwise the executions would all end at the first check."""
    target = TARGETS[name]
    if target.beside is not None:
        target.beside(tmp_path)
    (tmp_path / target.file).parent.mkdir(exist_ok=True)
    for content in target.seeds():
        (tmp_path / target.file).write_bytes(content)
        target.read(tmp_path / target.file if target.takes_file else tmp_path)


def test_equal_seeds_break_equally_and_most_changes_change_something() -> None:
    content = bytes(range(200))
    made = [broken(content, [content], random.Random(i)) for i in range(100)]
    assert made == [broken(content, [content], random.Random(i)) for i in range(100)]
    assert len(set(made)) > 90
    assert min(map(len, made)) < 150 < 205 < max(map(len, made))


def test_what_is_not_documented_is_a_crash(tmp_path, monkeypatch) -> None:
    def read(file) -> None:
        raise KeyError(len(file.read_bytes()))

    monkeypatch.setitem(TARGETS, "image", replace(TARGETS["image"], read=read))
    first, second = fuzz("image", 2, tmp_path, seed=7)
    assert (first.target, first.seed, second.seed) == ("image", 7, 8)
    assert first.error == f"KeyError({len(first.content)})"
