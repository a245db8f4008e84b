"""The course of a fine-tuning as a picture: loss, verification AUC and trainable parameters against step."""

from __future__ import annotations

import io
from itertools import groupby, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from snn.finetuning import History

BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
"""Three of Okabe and Ito's colours, which colour-blind readers can tell apart."""
_ROOM = 0.05
"""A number is written where it has this share of the width to itself."""


def draw_history(history: History) -> bytes:
    """Draw the history as a PNG: each stage is a band with its name, each unfreezing a dashed line.

    Raises:
        ValueError: if the history is empty.
    """
    if not history.rows:
        raise ValueError("the history is empty: nothing was fitted that could be drawn")
    rows = history.rows
    step = np.array([row.step for row in rows])
    n_trainable = np.array([row.n_trainable for row in rows])
    loss = np.array([row.loss for row in rows])
    figure = Figure(figsize=(10, 7), dpi=110, layout="constrained")
    loss_axis, auc_axis, size_axis = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))

    loss_axis.plot(step, loss, color=BLUE, alpha=0.35, linewidth=0.8)
    for begin, end in _stages(history):
        part = slice(begin, end)
        loss_axis.plot(step[part], _smooth(loss[part]), color=BLUE, linewidth=1.8)
    if (loss > 0).all():
        loss_axis.set_yscale("log")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        loss_axis.yaxis.set_major_formatter(plain)
        loss_axis.yaxis.set_minor_locator(LogLocator(subs=(1.5, 2, 3, 5, 7)))
        loss_axis.yaxis.set_minor_formatter(plain if loss.max() < 30 * loss.min() else "")
    loss_axis.set_ylabel("loss")

    measured = [(row.step, row.auc) for row in rows if row.auc is not None]
    if history.final_auc is not None:
        measured.append((rows[-1].step + 1, history.final_auc))
    if measured:
        auc_axis.plot(*zip(*measured, strict=True), color=RED, marker="o", markersize=4)
        room = _ROOM * len(rows)
        for i, (at, auc) in enumerate(measured):
            if 0 < i < len(measured) - 1 and at - measured[i - 1][0] < room:
                continue
            side = "left" if i == 0 else "right" if i == len(measured) - 1 else "center"
            auc_axis.annotate(
                f"{auc:.3f}", (at, auc), (0, 6), textcoords="offset points", fontsize=8, ha=side
            )
        auc_axis.margins(y=0.25)
    else:
        auc_axis.text(0.5, 0.5, "not measured", transform=auc_axis.transAxes, ha="center", va="center")
    auc_axis.set_ylabel("verification AUC")

    size_axis.step(step, n_trainable, where="post", color=GREEN, linewidth=1.8)
    size_axis.set_yscale("log")
    size_axis.margins(y=0.3)
    size_axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    size_axis.yaxis.set_minor_formatter("")
    size_axis.set_ylabel("trainable parameters")
    size_axis.set_xlabel("optimizer step")
    for axis in (loss_axis, auc_axis, size_axis):
        _mark_stages(axis, history, with_names=axis is loss_axis, with_counts=axis is size_axis)
    unfreezing = Line2D([], [], color="0.3", linewidth=0.8, linestyle="--", label="unfreezing")
    loss_axis.legend(handles=[unfreezing], fontsize=8, loc="upper right", framealpha=0.7)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _mark_stages(axis: Axes, history: History, *, with_names: bool, with_counts: bool) -> None:
    """Shade every other stage, draw a line where each begins and a dashed one at each unfreezing."""
    rows = history.rows
    axis.set_xlim(rows[0].step, rows[-1].step + 1)
    for number, (begin, end) in enumerate(_stages(history)):
        left, right = rows[begin].step, rows[end - 1].step + 1
        axis.axvspan(left, right, color="0.5", alpha=0.08 if number % 2 == 0 else 0.18, linewidth=0)
        axis.axvline(left, color="0.3", linewidth=1)
        changes = [
            begin,
            *(i for i in range(begin + 1, end) if rows[i].n_trainable != rows[i - 1].n_trainable),
        ]
        for i in changes[1:]:
            axis.axvline(rows[i].step, color="0.3", linewidth=0.8, linestyle="--")
        if with_names:
            axis.text((left + right) / 2, 1.02, rows[begin].stage, transform=axis.get_xaxis_transform(),
                      ha="center", fontsize=9, parse_math=False)  # fmt: skip
        if with_counts:
            for i, following in pairwise([*changes, end]):
                if following - i < _ROOM * len(rows):
                    continue
                middle = (rows[i].step + rows[following - 1].step + 1) / 2
                axis.annotate(
                    _count(rows[i].n_trainable), (middle, rows[i].n_trainable), (0, 4),
                    textcoords="offset points", ha="center", fontsize=8,
                )  # fmt: skip
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(which="both", labelsize=8)


def _stages(history: History) -> list[tuple[int, int]]:
    """Return where each stage begins and ends among the rows."""
    ends = np.cumsum([len(list(part)) for _, part in groupby(history.rows, key=lambda row: row.stage)])
    return list(pairwise([0, *ends.tolist()]))


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return the median over a window of a tenth of the values, shorter at both ends."""
    reach = max(len(values) // 20, 1)
    return np.array([np.median(values[max(i - reach, 0) : i + reach + 1]) for i in range(len(values))])


def _count(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"
