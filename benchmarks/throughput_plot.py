"""Draw what `benchmarks.throughput` measured: two panels of bars, six of curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.costs import Curve
from benchmarks.timing import Ratio

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
"""Okabe & Ito's, which colour-blind readers tell apart."""
MARKERS = "osD^vP"
LABELS = {
    "single": "single environments, 1 process",
    "subproc": "SubprocVecEnv, 2 workers",
    "async": "AsyncVectorEnv, a worker each",
}
"""Longer labels of curves."""
LIMIT: dict[str, Any] = {"color": "#444444", "linestyle": "--", "linewidth": 1}


@dataclass(frozen=True)
class Bars:
    """A panel of ratios."""

    prefix: str
    """What the names of its ratios begin with."""
    title: str
    """What is compared."""
    label: str
    """What the axis shows."""
    limit: float
    """Where the dashed line is."""


BARS = (
    Bars("trainer_over_plain_", "GANTrainer beside a plain loop", "seconds, over the plain loop's", 1.0),
    Bars("env_overhead_", "Environment beside its inner steps", "share of an env step", 0.1),
)


@dataclass(frozen=True)
class Curves:
    """A panel of curves."""

    panel: str
    """The `panel` of its curves."""
    title: str
    """What is compared."""
    label: str
    """What the y axis shows, with its unit."""
    factor: float = 1000.0
    """What y is multiplied by."""
    log: bool = True
    """Whether the y axis is logarithmic."""


CURVES = (
    Curves("population, mlp", "MLP GANs: population over ...", "times as many GAN steps/s", 1, False),
    Curves(
        "population, conv", "Convolutional GANs: population over ...", "times as many GAN steps/s", 1, False
    ),
    Curves("population", "Populations and single environments", "ms per inner step of one GAN"),
    Curves("image size", "Image size (light networks, batch 8)", "ms per inner step"),
    Curves("batch size", "Batch size", "ms per inner step"),
    Curves("data set", "Size of the data set (32 px)", "ms per inner step", log=False),
)


def plot(ratios: dict[str, Ratio], curves: list[Curve], device: str, path: Path) -> None:
    """Draw all panels; whiskers and bands are 95 % intervals, dashed lines the other side or 10 %."""
    figure = Figure(figsize=(17, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"benchmarks.throughput on {device}")
    axes = figure.subplots(2, 4).ravel()
    for axis, bars in zip(axes, BARS, strict=False):
        _draw_bars(axis, bars, {n: r for n, r in ratios.items() if n.startswith(bars.prefix)})
    for axis, panel in zip(axes[len(BARS) :], CURVES, strict=True):
        _draw_curves(axis, panel, [curve for curve in curves if curve.panel == panel.panel])
    figure.savefig(path, dpi=110)


def _draw_bars(axis: Axes, bars: Bars, ratios: dict[str, Ratio]) -> None:
    names = [name.removeprefix(bars.prefix).replace("_", " ") for name in ratios]
    for height, r in enumerate(ratios.values()):
        axis.barh(height, r.ratio, height=0.6, color=COLOURS[0])
        axis.plot([r.low, r.high], [height, height], color="black", linewidth=2)
        axis.annotate(f"  {r.ratio:.3g}", (max(r.high, r.ratio), height), va="center", fontsize=9)
    axis.axvline(bars.limit, **LIMIT)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.2 * max(bars.limit, *(r.high for r in ratios.values())))
    axis.set_title(bars.title, fontsize=10)
    axis.set_xlabel(bars.label)


def _draw_curves(axis: Axes, panel: Curves, curves: list[Curve]) -> None:
    for curve, colour, marker in zip(curves, COLOURS, MARKERS, strict=False):
        middle, low, high = panel.factor * np.array([(r.ratio, r.low, r.high) for r in curve.y]).T
        axis.plot(curve.x, middle, color=colour, marker=marker, label=LABELS.get(curve.label, curve.label))
        axis.fill_between(curve.x, low, high, color=colour, alpha=0.2, linewidth=0)
    ticks = sorted({x for curve in curves for x in curve.x})
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{x:,}" for x in ticks], fontsize=8)
    axis.set_xticks([], minor=True)
    if panel.log:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
    else:
        axis.set_ylim(0, 1.15 * axis.get_ylim()[1])
    if panel.factor == 1:
        axis.axhline(1.0, **LIMIT)
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(curves[0].x_label)
    axis.set_ylabel(panel.label)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
