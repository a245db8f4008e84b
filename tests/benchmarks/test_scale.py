"""The model of a cluster, its table and picture; the engine itself is measured by the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scale import loads, targets
from benchmarks.scale_files import draw, table
from benchmarks.scale_model import NETWORK, SNAPSHOT_EVERY, Engine, Load, Snapshot
from benchmarks.scale_workers import sleeping, step_times

SNAPSHOT = Snapshot(n_bytes=NETWORK * SNAPSHOT_EVERY * 1e-3, unpacking=SNAPSHOT_EVERY * 2e-3)
"""3 ms an env step."""
ENGINE = Engine(latency=0.01, message=1e-3, agent=1e-4)


def test_an_env_step_is_the_sum_of_its_parts() -> None:
    parts = ENGINE.parts(10, 5, SNAPSHOT)
    assert parts == pytest.approx({"latency": 0.01, "messages": 0.01, "agent": 0.005, "snapshots": 0.15})
    assert ENGINE.efficiency(0.7, 10, 5, SNAPSHOT) == pytest.approx(0.8)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 30.0])
def test_the_most_workers_are_just_efficient_enough(seconds: float) -> None:
    most = ENGINE.most_workers(seconds, 1, SNAPSHOT, 0.95)
    shares = [ENGINE.efficiency(seconds, most + i, 1, SNAPSHOT) for i in range(2)]
    assert most == 0 or shares[0] >= 0.95
    assert shares[1] < 0.95
    assert (most == 0) == (seconds < 0.2)  # the latency alone is too much


@pytest.fixture
def figures() -> dict[str, Any]:
    snapshot = {"mb": 1.0, "made_ms": 1.0, "unpacked_ms": 2.0}
    return {
        "conditions": "here",
        "messages": {"one_ms": 2.0, "each_ms": 1.0, "latency_ms": 1.0},
        "efficiency": {"10": 0.7, "100": 0.96},
        "snapshots": {"mlp": snapshot, "conv": snapshot},
        "restarts": {"cold_s": 6.0, "spare_s": 2.5},
        "agent": {"of_64_ms": 0.1},
        "env_steps": {"histo_s": 2.0},
    }


def test_a_missed_target_is_said_and_figures_are_kept_apart(figures: dict[str, Any], tmp_path: Path) -> None:
    figures["targets"] = targets(figures)
    assert [kept for _, _, kept in figures["targets"].values()] == [True, True, False]
    said = table(figures, loads(figures))
    measured, extrapolated = said.split("## Extrapolated")
    assert "| restart with a spare, s | 2.5 | <= 2 | NO |" in measured
    assert "1000 workers" in extrapolated
    assert "1000 workers" not in measured
    draw(figures, loads(figures), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_sleeping_workers_take_as_long_as_they_are_told() -> None:
    with sleeping(None, 2, 3, 0.02) as env:
        assert env.num_envs == 6
        assert np.median(step_times(env, 3)) >= 0.04  # one after the other, in this process


def test_loads_are_asked_about_with_their_own_snapshots(figures: dict[str, Any]) -> None:
    figures["snapshots"]["conv"] = {"mb": 5.0, "made_ms": 1.0, "unpacked_ms": 7.0}
    first, *others = loads(figures)
    assert first.snapshot == Snapshot(1e6, 2e-3)
    assert all(isinstance(load, Load) and load.snapshot == Snapshot(5e6, 7e-3) for load in others)
