from __future__ import annotations

import json

import pytest

import benchmarks.soak
from benchmarks.soak import FEWEST, Use, main, used, verdict


def _uses(grown: float = 0.0, files: float = 0.0, threads: float = 0.0) -> list[Use]:
    rounds = [i / 40 for i in range(41)]
    return [
        Use(60 * t, 1000 * (1 + grown * t) + (-1) ** i, int(12 + files * t), int(4 + threads * t))
        for i, t in enumerate(rounds)
    ]


@pytest.mark.parametrize(
    ("changes", "flat"),
    [
        ({}, True),
        ({"grown": 0.03}, True),
        ({"grown": 0.1}, False),
        ({"files": 3.0}, False),
        ({"threads": 3.0}, False),
    ],
)
def test_what_grows_is_not_flat(changes: dict[str, float], flat: bool) -> None:
    found = verdict(_uses(**changes))
    assert found["flat"] is flat
    assert found["resident_mb_per_hour"] == pytest.approx(1000 * changes.get("grown", 0), abs=1.5)


def test_a_warm_up_may_grow() -> None:
    assert verdict([Use(i, 50.0 * min(i, 10), min(i, 10), 4) for i in range(30)])["flat"]


def test_handles_held_are_counted(tmp_path) -> None:
    before = used(0.0)
    held = [(tmp_path / str(i)).open("w") for i in range(3)]
    assert used(0.0).n_files == before.n_files + 3
    for file in held:
        file.close()


def test_every_round_trains_and_evaluates_and_leaves_nothing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(benchmarks.soak, "N_WARM_UP", 0)
    monkeypatch.setattr(benchmarks.soak, "FEWEST", 2)
    monkeypatch.setattr(benchmarks.soak, "MOST_GROWTH", 10.0)
    assert FEWEST > 2
    assert main(["--minutes", "0", "--out", str(tmp_path)]) == 0
    assert len((tmp_path / "soak.jsonl").read_text().splitlines()) == 2
    assert json.loads((tmp_path / "soak.json").read_text())["n_rounds"] == 2
    assert "; flat" in capsys.readouterr().out
    assert (tmp_path / "soak.png").stat().st_size > 5000


def test_a_round_that_fails_is_not_passed_over(tmp_path, patch_folder, monkeypatch) -> None:
    monkeypatch.setattr(benchmarks.soak, "FLAGS", "--image_size 15 --device cpu")
    with pytest.raises(RuntimeError, match=r"round 0 ended with \[2, 2\].*image_size"):
        benchmarks.soak.one_round(0, patch_folder, tmp_path)
