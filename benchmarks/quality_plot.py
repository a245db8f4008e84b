"""Pictures of the quality benchmark: figures of all runs, and the patches themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from PIL import Image

from benchmarks.playing import Row
from benchmarks.quality_runs import FORMS
from benchmarks.quality_table import by_cell
from benchmarks.statistics import mean_interval

SHOWN = {
    "kid": "KID (lower is better)",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
}
"""Panels, and what they are called."""
COLOURS = dict(zip(FORMS, ("#999999", "#E69F00", "#0072B2", "#CC79A7"), strict=True))
"""Okabe and Ito's, by form."""
MARKERS = dict(zip(FORMS, "osD^", strict=True))


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw a panel a metric: a line for each model and form, every run a dot, means with intervals."""
    cells = by_cell(rows)
    names = list(reversed(cells))
    figure = Figure(figsize=(3.4 * len(SHOWN) + 1.5, 0.3 * len(names) + 1.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(SHOWN), sharey=True)
    for axes, (metric, title) in zip(panels, SHOWN.items(), strict=True):
        for height, (model, form) in enumerate(names):
            values = [row[metric] for row in cells[model, form] if row[metric] is not None]
            if not values:
                continue
            value, low, high = mean_interval(values)
            axes.plot(values, [height] * len(values), ".", color="0.75", zorder=1)
            axes.plot([low, high], [height, height], color=COLOURS[form], linewidth=2, zorder=2)
            axes.plot(value, height, MARKERS[form], color=COLOURS[form], markeredgecolor="black", zorder=3)
        every = [row[metric] for row in rows if row[metric] is not None]
        if metric == "kid" and every and min(every) > 0:
            axes.set_xscale("log")
            axes.set_xlim(0.8 * min(every), 1.25 * max(every))
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif every:
            margin = 0.05 * (max(every) - min(every)) + 0.01
            axes.set_xlim(min(0.0, min(every)) - margin, max(every) + margin)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(names)), [f"{model}, {form}" for model, form in names], fontsize=8)
    figure.savefig(path, dpi=110)


def draw_samples(rows: Sequence[Row], folder: Path, path: Path) -> None:
    """Draw the strips of the first seed's runs under each other, and real patches above them."""
    first = min(row["seed"] for row in rows)
    strips = {"held-out real patches": folder / "real.png"} | {
        f"{model}, {form}": folder / f"{model}-{form}-{first}.png" for model, form in by_cell(rows)
    }
    found = {name: np.asarray(Image.open(file)) for name, file in strips.items() if file.is_file()}
    if not found:
        return
    height, width = next(iter(found.values())).shape[:2]
    figure = Figure(
        figsize=(10, 10.3 * height / width * len(found) + 0.25 * len(found)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    for axes, (name, strip) in zip(
        figure.subplots(len(found), 1, squeeze=False)[:, 0], found.items(), strict=True
    ):
        axes.imshow(strip, interpolation="nearest")
        axes.set_title(name, fontsize=8, loc="left", pad=2)
        axes.axis("off")
    figure.savefig(path, dpi=120)
