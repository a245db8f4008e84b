"""Curves of a run as PNG: losses, scores, similarity, reward, and the knobs with what was done to them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from agents.run_record import RunRecord
from gan_gym.knobs import KNOBS
from gan_gym.render import COLOURS, STYLES

DPI = 110


def draw_reward(record: RunRecord) -> bytes:
    """Draw quality, the similarity statistics it joins, and the return so far against progress; a PNG."""
    figure = Figure(figsize=(10, 3.6), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    similarities = ("quality", "fidelity", "coverage", "diversity", "kernel")
    _lines(left, record, similarities, "similarity (0 = noise, 1 = unseen real patches)")
    reward = record.series("reward")
    if np.isfinite(reward).any():
        right.plot(record.progress[1], np.nancumsum(reward), color=COLOURS[0], marker=_marker(record))
    else:
        _say(right, "not recorded")
    right.set_title("sum of rewards so far", fontsize=10)
    for axis in (left, right):
        axis.set_xlabel(record.progress[0])
        _finish(axis, record)
    return _png(figure)


def draw_losses(record: RunRecord) -> bytes:
    """Draw the losses of both networks and the discriminator's scores against progress; a PNG."""
    figure = Figure(figsize=(10, 3.6), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    _lines(left, record, ("g_loss", "d_loss"), "losses")
    _lines(right, record, ("score_real", "score_fake"), "discriminator's mean logit (score)")
    for axis in (left, right):
        axis.set_xlabel(record.progress[0])
        _finish(axis, record)
    return _png(figure)


def draw_knobs(record: RunRecord) -> bytes:
    """Draw each knob's value over the actions that turned it; a PNG.

    An action of 1 multiplies a knob by its largest factor, -1 divides by it, 0 keeps it. A knob that is
    off is drawn at the bottom of its axis. Only knobs that were turned are drawn; there must be one.
    """
    knobs = record.knobs
    label, x = record.progress
    width = 0.8 * float(np.min(np.diff(x))) if len(x) > 1 and (np.diff(x) > 0).all() else 0.8
    figure = Figure(figsize=(10, 0.6 + 2.0 * len(knobs)), dpi=DPI, layout="constrained")
    grid = figure.subplots(2 * len(knobs), 1, sharex=True, squeeze=False, height_ratios=(3, 1.4) * len(knobs))
    for i, name in enumerate(knobs):
        value_axis, action_axis = grid[2 * i, 0], grid[2 * i + 1, 0]
        knob = KNOBS[name]
        values = np.maximum(record.series(name), knob.low)
        value_axis.step(x, values, where="mid", color=COLOURS[0])
        value_axis.set_yscale("log")
        if np.isfinite(values).any():  # small moves are to look small
            least, most = np.nanmin(values), np.nanmax(values)
            value_axis.set_ylim(least / 1.2, max(1.2 * most, 10 * least))
        off = "; bottom = off" if knob.can_be_off else ""
        value_axis.set_title(f"{name}: {knob.meaning}{off}", fontsize=10, loc="left")
        action = record.series(f"action_{name}")
        if np.isfinite(action).any():
            up = np.nan_to_num(action) > 0
            action_axis.bar(x[up], action[up], width=width, color=COLOURS[2], hatch="///", label="raised")
            action_axis.bar(
                x[~up], np.nan_to_num(action[~up]), width=width, color=COLOURS[1], label="lowered"
            )
            action_axis.axhline(0, color="0.4", linewidth=0.8)
            action_axis.set_ylim(-1.1, 1.1)
            action_axis.set_ylabel("action", fontsize=8)
        else:
            _say(action_axis, "set by a rule, no action recorded")
        for axis in (value_axis, action_axis):
            _finish(axis, record)
    grid[-1, 0].set_xlabel(label)
    return _png(figure)


def _lines(axis: Axes, record: RunRecord, keys: Sequence[str], title: str) -> None:
    """Plot what is recorded of some keys."""
    _label, x = record.progress
    axis.set_title(title, fontsize=10)
    drawn = 0
    for i, key in enumerate(keys):
        values = record.series(key)
        if np.isfinite(values).any():
            drawn += 1
            axis.plot(
                x, values, label=key, color=COLOURS[i], linestyle=STYLES[i], marker=_marker(record),
                linewidth=2.4 if key == "quality" else 1.4, zorder=3 if key == "quality" else 2,
            )  # fmt: skip
    if drawn:
        axis.legend(fontsize=8, ncols=2, framealpha=0.7)
    else:
        _say(axis, "not recorded")


def _marker(record: RunRecord) -> str:
    """Return dots for short runs, whose lines may have one point only."""
    return "." if len(record.rows) <= 60 else ""


def _say(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="0.4")


def _finish(axis: Axes, record: RunRecord) -> None:
    """Mark divergences and a bad end, and quieten the frame."""
    for row in record.went_back:
        axis.axvline(record.progress[1][row], color=COLOURS[1], linestyle="--", linewidth=1.0, zorder=1)
    if record.end in ("diverged", "collapsed"):
        axis.axvline(record.progress[1][-1], color="black", linestyle=":", linewidth=1.2)
    axis.grid(alpha=0.25)
    axis.tick_params(which="both", labelsize=8)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
