from __future__ import annotations

from typing import Any

import pytest

from benchmarks.comparison_summary import METRICS, summarise
from benchmarks.comparison_table import to_table


def row(agent: str, seed: int, quality: float, **others: Any) -> dict[str, Any]:
    figures = {"kernel": quality, "modes": 20, "modes20": 10, "hq": 0.5}
    return {
        "agent": agent,
        "env": "GridGAN-v0",
        "setting": "default",
        "seed": seed,
        "training_seed": 0,
        "final_quality": quality,
        "best_quality": quality + 0.1,
        **figures,
        **{f"best_{name}": value for name, value in figures.items()},
        "failed": False,
        "real_modes": 25.0,
        "real_modes20": 25.0,
        "real_hq": 0.989,
        "inner_steps": 1000,
        "inner_steps_spent": 1000,
        "env_kwargs": {"instances": "test"},
        **others,
    }


def test_paired_difference_follows_instances() -> None:
    rows = [row("a", seed, 0.1 * seed + 0.05) for seed in range(8)]
    rows += [row("b", seed, 0.1 * seed) for seed in reversed(range(8))]
    summary = summarise(rows)
    assert summary["a"]["final_quality"]["paired"]["b"] == pytest.approx([0.05] * 3)
    assert summary["b"]["final_quality"]["paired"]["a"] == pytest.approx([-0.05] * 3)
    low, high = summary["a"]["final_quality"]["mean"][1:]
    assert high - low > 0.2, "the runs themselves vary"


def test_trainings_are_averaged_on_the_same_instances() -> None:
    rows = [row("a", seed, 0.1 * seed + 0.1 * s, training_seed=s) for seed in range(4) for s in (0, 1)]
    rows += [row("b", seed, 0.1 * seed) for seed in range(4)]
    value, low, high = summarise(rows)["a"]["final_quality"]["paired"]["b"]
    assert value == pytest.approx(0.05)
    half = 12.706 * 0.05
    assert (low, high) == pytest.approx((0.05 - half, 0.05 + half), rel=1e-3), "two trainings say little"


def test_what_is_better_depends_on_the_metric() -> None:
    """A share of good samples above the real data's means shrunken modes."""
    rows = [row("shrunken", s, 0.5, hq=1.0) for s in range(4)] + [
        row("true", s, 0.5, hq=0.985) for s in range(4)
    ]
    figures = summarise(rows)["true"]
    assert figures["hq"]["probability_of_improvement"]["shrunken"][0] == 0
    assert figures["hq_distance"]["mean"][0] == pytest.approx(0.004)
    assert figures["hq_distance"]["probability_of_improvement"]["shrunken"][0] == 1


def test_the_share_of_failures_has_an_interval() -> None:
    rows = [row("a", seed, 0.5, failed=seed < 2) for seed in range(8)]
    figures = summarise(rows)["a"]["modes"]
    assert figures["failed"] == 0.25
    assert figures["failed_interval"] == pytest.approx([0.25, 0.0715, 0.5907], abs=1e-3)


def test_trainings_that_fail_together_count_as_one() -> None:
    """Five trainings that fail on the same two of eight instances are no 40 runs of which ten fail."""
    rows = [row("a", seed, 0.5, failed=seed < 2, training_seed=s) for seed in range(8) for s in range(5)]
    assert summarise(rows)["a"]["modes"]["failed_interval"] == pytest.approx([0.25, 0.0715, 0.5907], abs=1e-3)


def test_where_modes_cannot_be_counted_failures_are_judged_by_the_best_agent() -> None:
    uncounted = {"modes": -1, "modes20": -1, "hq": -1, "best_modes": -1, "best_modes20": -1, "best_hq": -1}
    rows = [row("a", s, 0.6, **uncounted) for s in range(4)]
    rows += [row("b", s, 0.29 if s else 0.31, **uncounted) for s in range(4)]
    for each in rows:
        for name in ("real_modes", "real_modes20", "real_hq"):
            each.pop(name)
    summary = summarise(rows)
    assert summary["a"]["final_quality"]["failed"] == 0
    assert summary["b"]["final_quality"]["failed"] == 0.75
    assert not {"modes", "hq", "hq_distance", "kid"} & set(summary["a"])
    assert "%HQ" not in to_table(rows, summary, ["a"])


def test_settings_are_summarised_apart() -> None:
    rows = [row("a", s, 0.5) for s in range(3)] + [row("a", s, 0.2, setting="edge") for s in range(3)]
    summary = summarise(rows)
    assert {name: figures["final_quality"]["mean"][0] for name, figures in summary.items()} == pytest.approx(
        {"a": 0.5, "a @ edge": 0.2}
    )


def test_the_table_holds_the_last_and_the_best_model_and_differences() -> None:
    rows = [row("mine", s, 0.5 + s / 100) for s in range(4)] + [row("rule", s, 0.3) for s in range(4)]
    table = to_table(rows, summarise(rows), ["mine"])
    assert "| mine | 1 | 0.515 [" in table
    assert "| mine | 0.615 [" in table
    assert "| mine minus ... | quality |" in table
    assert "| rule | +0.215 [" in table
    assert "49.9 [49.9, 49.9]" not in table
    assert "48.9 [48.9, 48.9]" in table, "percent points from the real data's 98.9"


def test_all_metrics_have_both_models() -> None:
    last = {name for name in METRICS if not name.startswith("best_")}
    assert {f"best_{name.removeprefix('final_')}" for name in last} == set(METRICS) - last
