"""No hostile model file is loaded, and none runs code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.hostile_files import KINDS, Hostile, accepted, catalogue

MARK = Path("mark-of-a-pickle")
HOSTILE = list(catalogue(MARK))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {kind: tmp_path_factory.mktemp(kind.replace(" ", "_")) for kind in KINDS}
    for kind, folder in made.items():
        KINDS[kind].make(folder)
        KINDS[kind].load(folder)
    return made


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: f"{hostile.kind}: {hostile.name}")
def test_is_refused(hostile: Hostile, good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert accepted(hostile, good[hostile.kind], tmp_path / "hostile") is None
    assert not MARK.exists()


def test_what_is_loaded_or_raises_something_else_is_noticed(good, tmp_path, monkeypatch) -> None:
    same = Hostile("controller", "the same", lambda content: content, to_weights=True)
    assert accepted(same, good["controller"], tmp_path / "same") == "was loaded"

    def crash(folder: Path) -> None:
        raise RuntimeError

    monkeypatch.setitem(KINDS, "controller", replace(KINDS["controller"], load=crash))
    assert "raised RuntimeError" in str(accepted(same, good["controller"], tmp_path / "crash"))


def test_the_catalogue_is_large() -> None:
    assert len(HOSTILE) >= 40
