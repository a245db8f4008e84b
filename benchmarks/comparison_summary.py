"""The statistics of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.playing import Row
from benchmarks.statistics import (
    Triple,
    Values,
    interval,
    iqm,
    mean,
    paired_difference,
    probability_of_improvement,
    share_interval,
)

Summary = dict[str, dict[str, dict[str, Any]]]
"""`{agent: {metric: {...}}}`."""


@dataclass(frozen=True)
class Metric:
    """A figure of a run."""

    label: str
    """Name in tables and plots."""
    of: Callable[[Row], float | None]
    """Returns it; `None` where a row does not have it."""
    higher_is_better: bool = True
    """Which way is better."""
    scale: int = 1
    """What it is multiplied by to be shown: 100 for percent."""


def _column(name: str) -> Callable[[Row], float | None]:
    """Read a column, in which -1 stands for what cannot be counted."""
    return lambda row: None if row.get(name, -1) == -1 else row[name]


def _distance(name: str) -> Callable[[Row], float | None]:
    """Return how far a share of good samples is from that of real data: more means shrunken modes."""
    return lambda row: abs(row[name] - row["real_hq"]) if "real_hq" in row else None


METRICS: dict[str, Metric] = {
    "final_quality": Metric("quality", _column("final_quality")),
    "best_quality": Metric("quality", _column("best_quality")),
    **{
        prefix + name: metric
        for prefix in ("", "best_")
        for name, metric in {
            "kernel": Metric("kernel", _column(f"{prefix}kernel")),
            "modes": Metric("modes", _column(f"{prefix}modes")),
            "modes20": Metric("modes ≥ 20", _column(f"{prefix}modes20")),
            "hq": Metric("%HQ", _column(f"{prefix}hq"), scale=100),
            "hq_distance": Metric("%HQ from real", _distance(f"{prefix}hq"), False, 100),
            "kid": Metric("KID", _column(f"{prefix}kid"), False),
        }.items()
    },
}
"""What is summarised, by name: of the last model and, with `best_` before it, of the best-so-far model."""


def entry(agent: str, setting: str) -> str:
    """Return the name of an agent in a summary: its own in the default setting."""
    return agent if setting == "default" else f"{agent} @ {setting}"


def by_setting(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return the rows of each setting and agent, in the order in which they first appear."""
    sorted_rows: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        sorted_rows.setdefault(row["setting"], {}).setdefault(row["agent"], []).append(row)
    return sorted_rows


def summarise(rows: Sequence[Row]) -> Summary:
    """Return `{agent: {metric: {...}}}`, agents in other than the default setting as `agent @ setting`.

    Of each metric, with 95 % intervals as `[value, low, high]`: `iqm` and `mean`, over the instances that all
    trainings of an agent met; `paired`, the mean difference to every other agent on the same instances;
    `probability_of_improvement`, how probably a run is better than one of every other agent; and, the same
    for all metrics, `failed`, the share of runs that failed, with `failed_interval`.

    A run fails if it diverged, collapsed, or ended with less than half of the modes; where modes cannot be
    counted, with less than half of the best agent's median quality.
    """
    summary: Summary = {}
    for setting, of in by_setting(rows).items():
        half = max(float(np.median([row["final_quality"] for row in own])) for own in of.values()) / 2
        failures = {
            agent: sum(row["failed"] or (row["modes"] < 0 and row["final_quality"] < half) for row in own)
            for agent, own in of.items()
        }
        figures = {name: _figures(of, metric) for name, metric in METRICS.items()}
        for agent, own in of.items():
            failed = failed_share(failures[agent], own)
            summary[entry(agent, setting)] = {
                name: {**own_figures[agent], "failed": failed[0], "failed_interval": failed}
                for name, own_figures in figures.items()
                if own_figures
            }
    return summary


def failed_share(n_failed: int, rows: Sequence[Row]) -> Triple:
    """Return the share of an agent's runs that failed, with an interval for as many runs as it met instances.

    Several trainings on one instance count as one run: what fails under one fails under the others.
    """
    n_instances = len({(row["env"], row["seed"]) for row in rows})
    return share_interval(n_failed * n_instances / len(rows), n_instances)


def _figures(of: Mapping[str, Sequence[Row]], metric: Metric) -> dict[str, dict[str, Any]]:
    """Return all statistics of one metric by agent; nothing where a row does not have it."""
    if any(metric.of(row) is None for own in of.values() for row in own):
        return {}
    runs = {agent: by_training(own, metric) for agent, own in of.items()}
    figures: dict[str, dict[str, Any]] = {
        agent: {
            "iqm": interval(own, iqm),
            "mean": interval(own, mean),
            "paired": {},
            "probability_of_improvement": {},
        }
        for agent, own in runs.items()
    }
    sign = 1 if metric.higher_is_better else -1
    for i, agent in enumerate(of):
        for other in list(of)[:i]:
            ours, theirs = on_same_instances(of[agent], of[other], metric)
            if ours.size:
                difference = paired_difference(ours, theirs)
                figures[agent]["paired"][other] = difference
                figures[other]["paired"][agent] = _mirrored(difference, 0.0)
            better = probability_of_improvement(sign * runs[agent], sign * runs[other])
            figures[agent]["probability_of_improvement"][other] = better
            figures[other]["probability_of_improvement"][agent] = _mirrored(better, 1.0)
    return figures


def _mirrored(triple: Triple, whole: float) -> Triple:
    """Return what the same comparison says seen from the other side."""
    value, low, high = triple
    return [whole - value, whole - high, whole - low]


def by_training(rows: Sequence[Row], metric: Metric) -> Values:
    """Return values `(trainings, instances)` on the instances that all trainings of an agent met."""
    return _tables([rows], metric)[0]


def on_same_instances(ours: Sequence[Row], theirs: Sequence[Row], metric: Metric) -> tuple[Values, Values]:
    """Return values `(trainings, instances)` on the instances that all trainings of both agents met."""
    first, second = _tables([ours, theirs], metric)
    return first, second


def _tables(of: Sequence[Sequence[Row]], metric: Metric) -> list[Values]:
    """Return each agent's values `(trainings, instances)` on the instances that all trainings of all met."""
    tables = []
    for rows in of:
        table: dict[int, dict[tuple[str, int], float | None]] = {}
        for row in rows:
            table.setdefault(row["training_seed"], {})[row["env"], row["seed"]] = metric.of(row)
        tables.append(table)
    met = sorted(set.intersection(*(set(own) for table in tables for own in table.values())))
    return [np.array([[table[s][i] for i in met] for s in sorted(table)], float) for table in tables]
