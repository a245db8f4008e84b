"""The picture of the similarity benchmark: verification AUC above, disturbance curves below."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.disturbances import DISTURBANCES

Row = dict[str, Any]


def plot(rows: Sequence[Row], summary: dict[str, dict[str, Row]], path: Path) -> None:
    """Draw one line of panels a set: AUC of every model, then the mean score under each disturbance."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    colours = {model: f"C{number}" for number, model in enumerate(models)}
    n_panels = len(DISTURBANCES) + 1
    figure = Figure(figsize=(2.3 * n_panels + 1, 2.4 * len(summary) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(summary), n_panels, squeeze=False)
    for line, (name, entries) in zip(grid, summary.items(), strict=True):
        _draw_auc(line[0], name, entries, colours)
        line[1].set_ylabel("quality")
        for panel, disturbance in zip(line[1:], DISTURBANCES, strict=True):
            curves = {
                model: [
                    row["curves"][disturbance]
                    for row in rows
                    if (row["set"], row["model"]) == (name, model) and disturbance in row.get("curves", {})
                ]
                for model in entries
            }
            _draw_curves(panel, disturbance, curves, colours)
    handles, labels = grid[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(models))
    figure.savefig(path, dpi=90)


def _draw_auc(axes: Axes, name: str, entries: dict[str, Row], colours: dict[str, str]) -> None:
    for height, model in enumerate(reversed(list(entries))):
        value, low, high = entries[model]["auc"]
        axes.plot([low, high], [height, height], color=colours[model], linewidth=3)
        axes.plot(value, height, "o", color=colours[model])
    axes.set_yticks(range(len(entries)), list(reversed(list(entries))))
    axes.set_xlabel("verification AUC")
    axes.set_title(name, parse_math=False)


def _draw_curves(
    axes: Axes, disturbance: str, curves: dict[str, list[list[float]]], colours: dict[str, str]
) -> None:
    levels = DISTURBANCES[disturbance].levels
    for model, own in curves.items():
        if own:
            axes.plot(levels, np.mean(own, axis=0), ".-", color=colours[model], label=model, linewidth=1)
    axes.set_title(disturbance.replace("_", " "))
    axes.set_ylim(0, 1.02)
