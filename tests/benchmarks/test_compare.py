from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare import main, summarise


def _row(agent: str, seed: int, quality: float, modes: int = 20) -> dict[str, object]:
    return {
        "agent": agent,
        "seed": seed,
        "training_seed": 0,
        "final_quality": quality,
        "best_quality": quality,
        "modes": modes,
        "modes20": modes,
        "hq": 0.5,
        "end": "budget",
    }


def test_writes_what_the_contract_names_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--env",
        "RingGAN-v0",
        "--quick",
        "--episodes",
        "2",
        "--out",
        str(tmp_path),
        "--agents",
        "--baselines",
    ]
    assert main([*arguments, "constant"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.jsonl",
        "summary.json",
        "table.md",
        "plot.png",
    }
    first = (tmp_path / "results.jsonl").read_text()
    assert main([*arguments, "constant", "random"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert (tmp_path / "results.jsonl").read_text().startswith(first)
    assert [row["agent"] for row in rows] == ["constant", "constant", "random", "random"]
    assert rows[0]["instance"] == rows[2]["instance"] != rows[1]["instance"]
    wanted = "agent env seed instance final_quality best_quality modes modes20 hq end inner_steps"
    assert set(wanted.split()) <= set(rows[0])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["constant"]["final_quality"]) == {"iqm", "mean", "failed", "paired"}
    assert "constant" in capsys.readouterr().out


def test_paired_difference_follows_instances() -> None:
    rows = [_row("a", seed, 0.1 * seed + 0.05) for seed in range(8)] + [
        _row("b", seed, 0.1 * seed) for seed in range(8)
    ]
    value, low, high = summarise(rows)["a"]["final_quality"]["paired"]["b"]
    assert value == pytest.approx(0.05)
    assert high - low < 1e-9


def test_runs_with_few_modes_count_as_failed() -> None:
    rows = [_row("a", seed, 0.5, modes=20 if seed < 6 else 3) for seed in range(8)]
    assert summarise(rows)["a"]["modes"]["failed"] == 0.25


@pytest.mark.parametrize(
    ("flag", "name", "near"),
    [("--baselines", "cosin", "cosine"), ("--agents", "tuned_constnt", "tuned_constant")],
)
def test_unknown_names_are_one_line(
    flag: str, name: str, near: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"--agents": [], "--baselines": ["constant"]} | {flag: [name]}
    flat = [word for key, values in arguments.items() for word in (key, *values)]
    assert main([*flat, "--out", str(tmp_path / "out")]) == 2
    assert near in capsys.readouterr().err
