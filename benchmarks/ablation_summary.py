"""What every variant loses or gains against the full controller, on the same instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.ablation_cells import ALGO, INSTANCES, TRAINED_IN
from benchmarks.ablation_variants import FULL, QUESTIONS, VARIANTS
from benchmarks.comparison_summary import METRICS, by_training, failed_share, on_same_instances
from benchmarks.playing import Row
from benchmarks.statistics import Triple, interval, mean, paired_difference

SHOWN = ("final_quality", "kernel", "modes20", "hq_distance")
"""Metrics of the last model; the last two were never rewarded."""
ALL = "all"
"""Name of all environments together, whose qualities are on one scale."""

Summary = dict[str, dict[str, dict[str, Any]]]
"""`{environment: {variant: {metric: {"mean": triple, "difference": triple}, "failed": triple, ...}}}`."""


def summarise(rows: Sequence[Row]) -> Summary:
    """Return the statistics of every variant in each environment, and in all of them, as `ALL`.

    Of each metric, with 95 % intervals as `[value, low, high]`: `mean`, and `difference`, the mean difference
    to the full controller on the instances that both met. `failed` is the share of runs that diverged,
    collapsed, or ended with less than half of the modes.
    """
    environments = list(dict.fromkeys(row["env"] for row in rows))
    groups: dict[str, tuple[list[Row], Sequence[str]]] = {
        env: ([row for row in rows if row["env"] == env], SHOWN) for env in environments
    }
    groups[ALL] = (list(rows), SHOWN[:1])
    return {
        env: {
            name: _figures([row for row in own if row["agent"] == name], _of_full(own), shown)
            for name in VARIANTS
            if any(row["agent"] == name for row in own)
        }
        for env, (own, shown) in groups.items()
    }


def _of_full(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["agent"] == FULL]


def _figures(ours: Sequence[Row], full: Sequence[Row], shown: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        name: {
            "mean": interval(by_training(ours, METRICS[name]), mean),
            "difference": paired_difference(*on_same_instances(ours, full, METRICS[name])),
        }
        for name in shown
    }
    return figures | {
        "failed": failed_share(sum(row["failed"] for row in ours), ours),
        "n_seeds": len({row["training_seed"] for row in ours}),
        "n_instances": len({(row["env"], row["seed"]) for row in ours}),
    }


def to_table(summary: Summary, rows: Sequence[Row]) -> str:
    """Return Markdown: for each question the differences in quality, then all figures of each environment."""
    recipe, first = rows[0]["training"], summary[ALL][FULL]
    start = f"as {recipe['imitated']}" if recipe["imitated"] else "at random"
    sections = [
        f"{ALGO.upper()} that begins {start}, {recipe['total_timesteps']:,} env steps in {TRAINED_IN}, "
        f"{first['n_instances']} {INSTANCES} instances in {len(summary) - 1} "
        "environments, none met in training. Signed figures are mean differences to the full controller on "
        "the same instances, with 95 % intervals over instances and seeds; failed runs and %HQ in percent.\n"
    ]
    for question, meaning in QUESTIONS.items():
        names = [name for name in summary[ALL] if name == FULL or VARIANTS[name].question == question]
        if len(names) > 1:
            sections.append(f"## Quality: {meaning}\n\n{_differences(summary, names)}")
    sections += [f"## {env}\n\n{_details(own)}" for env, own in summary.items() if env != ALL]
    return "\n".join(sections)


def _differences(summary: Summary, names: Sequence[str]) -> str:
    head = ["variant", "what differs", *summary, "failed"]
    lines = []
    for name in names:
        changes = [_text(own[name]["final_quality"][_kind(name)], _kind(name)) for own in summary.values()]
        failed = summary[ALL][name]["failed"]
        lines.append([name, VARIANTS[name].change, *changes, _text(failed, "mean", percent=True)])
    return _markdown(head, lines)


def _details(own: dict[str, dict[str, Any]]) -> str:
    labels = [METRICS[name].label for name in SHOWN]
    head = ["variant", "seeds", "quality", *(f"{label}, minus full" for label in labels), "failed"]
    lines = []
    for name, figures in own.items():
        changes = [
            _text(figures[metric][_kind(name)], _kind(name), percent=metric == "hq_distance")
            for metric in SHOWN
        ]
        quality = _text(figures["final_quality"]["mean"], "mean")
        seeds = str(figures["n_seeds"])
        lines.append([name, seeds, quality, *changes, _text(figures["failed"], "mean", percent=True)])
    return _markdown(head, lines)


def _kind(name: str) -> str:
    """Return what is shown of a variant: the full one has no difference to itself."""
    return "mean" if name == FULL else "difference"


def _text(triple: Triple, kind: str, *, percent: bool = False) -> str:
    value, low, high = (100 * number if percent else number for number in triple)
    digits = 1 if percent or max(abs(low), abs(high)) >= 2 else 3
    sign = "+" if kind == "difference" else ""
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table) + "\n"
