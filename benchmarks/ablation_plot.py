"""The picture of an ablation: what every variant loses or gains, and how often it fails."""

from __future__ import annotations

from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.ablation_summary import ALL, Summary
from benchmarks.ablation_variants import FULL, QUESTIONS, VARIANTS


def plot(summary: Summary, path: Path) -> None:
    """Draw a row of two panels for each question: differences in quality to the full controller, failures."""
    asked = {
        question: [name for name in summary[ALL] if name == FULL or VARIANTS[name].question == question]
        for question in QUESTIONS
    }
    asked = {question: names for question, names in asked.items() if len(names) > 1}
    heights = [len(names) + 1.5 for names in asked.values()]
    figure = Figure(figsize=(12, 0.3 * sum(heights) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(asked), 2, squeeze=False, sharex="col", height_ratios=heights)
    for (question, names), (differences, failures) in zip(asked.items(), panels, strict=True):
        for i, env in enumerate(summary):
            own = summary[env]
            colour = "black" if env == ALL else colormaps["tab10"](i)
            shift = 0.22 * (i - (len(summary) - 1) / 2)
            changes = [own[name]["final_quality"]["difference"] for name in names[1:]]
            _draw(differences, changes, shift, colour, env, first=1)
            _draw(failures, [own[name]["failed"] for name in names], shift, colour, env)
        for axes in (differences, failures):
            axes.set_yticks(range(len(names)), names if axes is differences else [""] * len(names))
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.grid(axis="x", alpha=0.3)
        differences.axvline(0, color="black", linewidth=0.8)
        differences.set_title(QUESTIONS[question], loc="left", fontsize=10)
        quality = summary[ALL][FULL]["final_quality"]["mean"][0]
        differences.annotate(f"  quality {quality:.3f}", (0, 0), va="center", fontsize=8)
    panels[-1][0].set_xlabel("final quality minus that of the full controller, same instances")
    panels[-1][1].set_xlabel("share of runs that failed")
    handles, labels = panels[0][1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path, dpi=110)


def _draw(
    axes: Axes, triples: list[list[float]], shift: float, colour: object, label: str, *, first: int = 0
) -> None:
    """Draw a point with its interval for each triple, one below the other."""
    for height, (value, low, high) in enumerate(triples, start=first):
        y = height + shift
        axes.plot([low, high], [y, y], color=colour, linewidth=1.6)
        named = label if height == first else None
        axes.plot(value, y, "o", color=colour, markersize=4, label=named)
