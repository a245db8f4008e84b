"""The course of a run in numbers: a few moments of it, and what became of each knob."""

from __future__ import annotations

import numpy as np

from agents.run_record import RunRecord

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Heads of the columns, and rows of text."""

N_MOMENTS = 6
_SHOWN = ("quality", "fidelity", "coverage", "diversity", "g_loss", "d_loss")


def moments(record: RunRecord) -> Table:
    """Return the statistics at a few evenly spaced env steps, the first and the last among them."""
    label, x = record.progress
    n_rows = len(record.rows)
    chosen = sorted({round(i) for i in np.linspace(0, n_rows - 1, min(N_MOMENTS, n_rows))})
    series = {key: record.series(key) for key in _SHOWN}
    series = {key: values for key, values in series.items() if np.isfinite(values).any()}
    rows = [
        (f"{x[i]:,.0f}", *(f"{v[i]:.3f}" if np.isfinite(v[i]) else "-" for v in series.values()))
        for i in chosen
    ]
    return (label, *series), rows


def knob_moves(record: RunRecord) -> Table:
    """Return, for each knob that was turned, where it went, and how often its value rose and fell.

    The first value is that after the first action; pushing against a limit is no move.
    """
    rows = []
    for name in record.knobs:
        values = record.series(name)
        values = values[np.isfinite(values)]
        turns = np.diff(values)
        counts = str(int((turns > 0).sum())), str(int((turns < 0).sum()))
        ends = (
            [f"{v:.3g}" for v in (values[0], values.min(), values.max(), values[-1])] if len(values) else []
        )
        rows.append((name, *(ends or ["-"] * 4), *counts))
    return ("knob", "first", "lowest", "highest", "last", "times raised", "times lowered"), rows
