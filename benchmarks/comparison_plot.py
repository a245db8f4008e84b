"""The picture of a comparison: means, performance profiles and paired differences in every setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.comparison_summary import METRICS, Summary, by_setting, by_training, entry
from benchmarks.playing import Row
from benchmarks.statistics import performance_profile

MEANS = ("final_quality", "modes20", "hq", "kid")
"""Metrics whose means have a panel each."""
N_THRESHOLDS = 101
COLOURS = colormaps["tab20"]([*range(0, 20, 2), *range(1, 20, 2)])
"""Of the agents in the order of the rows, strong colours first."""


def plot(rows: Sequence[Row], summary: Summary, focus: Sequence[str], path: Path) -> None:
    """Draw a row of panels for each setting.

    Means of the last model with every run behind them; the share of runs above a quality, with bands; and the
    paired differences in quality of the first agent in focus to all others.
    """
    settings = by_setting(rows)
    shown = [name for name in MEANS if all(name in figures for figures in summary.values())]
    n_agents = max(map(len, settings.values()))
    everyone = dict.fromkeys(row["agent"] for row in rows)
    colour_of = {agent: COLOURS[i % len(COLOURS)] for i, agent in enumerate(everyone)}
    figure = Figure(
        figsize=(3.6 * (len(shown) + 2) + 1.5, (0.34 * n_agents + 1.6) * len(settings)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(settings), len(shown) + 2, squeeze=False)
    for (setting, of), panels in zip(settings.items(), grid, strict=True):
        own = {agent: summary[entry(agent, setting)] for agent in of}
        agents = sorted(own, key=lambda agent: own[agent]["final_quality"]["mean"][0])
        colours = {agent: colour_of[agent] for agent in agents}
        for axes, name in zip(panels, shown, strict=False):
            _means(axes, name, own, of, colours)
            names = agents if axes is panels[0] else [""] * len(agents)
            axes.set_yticks(range(len(agents)), names, parse_math=False)
        panels[0].set_title(f"{rows[0]['env']}, {setting}", loc="left")
        _profiles(panels[-2], of, colours)
        _differences(panels[-1], own, agents, focus, colours)
    figure.savefig(path, dpi=110)


def _means(
    axes: Axes, name: str, own: Summary, of: Mapping[str, Sequence[Row]], colours: Mapping[str, object]
) -> None:
    """Draw every run as a grey dot, and the mean with its interval."""
    metric, rng = METRICS[name], np.random.default_rng(0)
    for height, (agent, colour) in enumerate(colours.items()):
        values = np.array([metric.of(row) for row in of[agent]], float) * metric.scale
        scatter = height + rng.uniform(-0.25, 0.25, len(values))
        axes.plot(values, scatter, ".", color="0.75", markersize=3, zorder=1)
        value, low, high = (metric.scale * number for number in own[agent][name]["mean"])
        axes.plot([low, high], [height, height], color=colour, linewidth=3, zorder=2)
        axes.plot(value, height, "o", color=colour, markeredgecolor="black", zorder=3)
    axes.set_xlabel(f"{metric.label} of the last model")
    axes.grid(axis="x", alpha=0.3)


def _profiles(axes: Axes, of: Mapping[str, Sequence[Row]], colours: Mapping[str, object]) -> None:
    """Draw the share of runs above each quality."""
    thresholds = np.linspace(0, 1, N_THRESHOLDS)
    for agent, colour in reversed(list(colours.items())):
        share, low, high = performance_profile(by_training(of[agent], METRICS["final_quality"]), thresholds)
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(thresholds, share, color=colour, label=agent)
    axes.set_xlabel("quality q")
    axes.set_ylabel("share of runs above q")
    axes.grid(alpha=0.3)


def _differences(
    axes: Axes, own: Summary, agents: Sequence[str], focus: Sequence[str], colours: Mapping[str, object]
) -> None:
    """Draw the paired differences of the first agent in focus."""
    first = next((agent for agent in focus if agent in own), agents[-1])
    paired = own[first]["final_quality"]["paired"]
    for height, agent in enumerate(agents):
        if agent not in paired:
            continue
        value, low, high = paired[agent]
        axes.plot([low, high], [height, height], color=colours[agent], linewidth=3)
        axes.plot(value, height, "o", color=colours[agent], markeredgecolor="black")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(agents)), [""] * len(agents))
    axes.set_ylim(-0.6, len(agents) - 0.4)
    axes.set_xlabel(f"quality on the same instances:\n{first} minus each", parse_math=False)
    axes.grid(axis="x", alpha=0.3)
