"""The statistics of a comparison as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.comparison_summary import METRICS, Summary, by_setting, entry
from benchmarks.playing import Row
from benchmarks.settings import SETTINGS

LAST = ("final_quality", "kernel", "modes", "modes20", "hq", "hq_distance", "kid")
"""Columns of the last model; the first is by interquartile mean too."""
BEST = tuple(f"best_{name.removeprefix('final_')}" for name in LAST)
"""Columns of the best-so-far model."""
PAIRED = ("final_quality", "kernel", "modes20", "hq_distance", "kid")
"""Columns of the paired differences."""


def to_table(rows: Sequence[Row], summary: Summary, focus: Sequence[str]) -> str:
    """Return a section for each setting: last model, best-so-far model, paired differences.

    Args:
        rows: the runs.
        summary: their statistics.
        focus: agents whose differences to all others are shown.
    """
    sections = []
    for setting, of in by_setting(rows).items():
        own = {agent: summary[entry(agent, setting)] for agent in of}
        sections += [_head(setting, of), _figures(own, of), _best(own), *_differences(own, focus)]
    return "\n".join(section for section in sections if section)


def _head(setting: str, of: Mapping[str, Sequence[Row]]) -> str:
    rows = [row for own in of.values() for row in own]
    first = rows[0]
    n_instances, steps = len({row["seed"] for row in rows}), max(row["inner_steps"] for row in rows)
    text = (
        f"## {first['env']}, {setting}\n\n{SETTINGS[setting].meaning}; {n_instances} instances "
        f"({first['env_kwargs']['instances']}), {steps:,} updates a run.\n"
        "Means and interquartile means (IQM) with 95 % intervals."
    )
    if "real_hq" in first:
        text += (
            f" Real data reaches {first['real_modes']:.4g} modes, {first['real_modes20']:.4g} with 20 "
            f"samples, {100 * first['real_hq']:.1f} %HQ."
        )
    if any(row["inner_steps_spent"] != row["inner_steps"] for row in rows):
        text += (
            " An oracle or a population trains several GANs for one: all their updates are charged to it "
            "(updates spent)."
        )
    return text + "\n"


def _figures(own: Summary, of: Mapping[str, Sequence[Row]]) -> str:
    shown = [name for name in LAST if all(name in figures for figures in own.values())]
    head = ["last model", "seeds", "quality, IQM", *(METRICS[name].label for name in shown), "failed"]
    spent = {agent: max(row["inner_steps_spent"] for row in rows) for agent, rows in of.items()}
    oracles = any(row["inner_steps_spent"] > row["inner_steps"] for rows in of.values() for row in rows)
    head += ["updates spent"] * oracles
    lines = []
    for agent in _ranked(own, "final_quality"):
        figures = own[agent]
        failed = figures["final_quality"]["failed_interval"]
        cells = [agent, str(len({row["training_seed"] for row in of[agent]}))]
        cells += [_cell(figures["final_quality"]["iqm"], "final_quality")]
        cells += [_cell(figures[name]["mean"], name) for name in shown]
        lines.append([*cells, _cell(failed, "hq"), *[f"{spent[agent]:,}"] * oracles])
    return _markdown(head, lines)


def _best(own: Summary) -> str:
    shown = [name for name in BEST if all(name in figures for figures in own.values())]
    head = ["best-so-far model", *(METRICS[name].label for name in shown)]
    return _markdown(
        head,
        [
            [agent, *(_cell(own[agent][name]["mean"], name) for name in shown)]
            for agent in _ranked(own, "best_quality")
        ],
    )


def _differences(own: Summary, focus: Sequence[str]) -> Iterable[str]:
    """Return a table of paired differences for each agent in focus."""
    shown = [name for name in PAIRED if all(name in figures for figures in own.values())]
    for agent in (name for name in focus if name in own):
        lines = [
            [
                other,
                *(_cell(own[agent][name]["paired"][other], name, signed=True) for name in shown),
                _cell(own[agent]["final_quality"]["probability_of_improvement"][other], "final_quality"),
            ]
            for other in _ranked(own, "final_quality")
            if other in own[agent]["final_quality"]["paired"]
        ]
        head = [f"{agent} minus ...", *(METRICS[name].label for name in shown), "P(better quality)"]
        yield _markdown(head, lines) if lines else ""


def _ranked(own: Summary, metric: str) -> list[str]:
    """Return the agents, best mean first."""
    return sorted(own, key=lambda agent: -own[agent][metric]["mean"][0])


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table) + "\n"


def _cell(triple: Sequence[float], metric: str, *, signed: bool = False) -> str:
    value, low, high = (METRICS[metric].scale * number for number in triple)
    digits = 1 if max(abs(low), abs(high)) >= 2 else 3
    sign = "+" if signed else ""
    return f"{value:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
