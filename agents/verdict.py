"""What a run's own statistics say about it, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.run_record import RunRecord

State = Literal["healthy", "collapsing", "diverged", "not enough evidence"]

MIN_STEPS = 5
"""Fewer env steps are no evidence."""
LOW_DIVERSITY = 0.5
"""Distance among generated samples over that among real ones; below it they are too much alike."""
LOW_COVERAGE = 0.2
"""Coverage below which most real tissue has no generated counterpart, however real the fakes look."""
GOOD_QUALITY = 0.5
"""Quality (0 noise, 1 unseen real patches) from which samples resemble the data."""
LARGE_LOSS = 0.2
"""Fall of quality below its best, or of coverage below its best, that is no longer fluctuation."""
RISE = 0.05
"""Gain of quality over the last half of the run that counts as still rising."""


@dataclass(frozen=True)
class Verdict:
    """A state and why."""

    state: State
    """One of four."""
    reason: str
    """One or two sentences: what was seen, and what to do."""
    cautions: tuple[str, ...] = ()
    """What the evaluation adds against it."""

    def __str__(self) -> str:
        """Return the verdict as one line."""
        return f"{self.state[0].upper()}{self.state[1:]}: {self.reason}"


def judge(record: RunRecord) -> Verdict:
    """Judge a run by quality, diversity and coverage at its end against its course.

    "At its end" is the median over the last tenth of the env steps, three at least. The thresholds above are
    our own choice.
    """
    state, reason = _judge_course(record)
    return Verdict(state, reason, _cautions(record))


def _judge_course(record: RunRecord) -> tuple[State, str]:
    """Return state and reason from the rows alone."""
    n_steps = len(record.rows)
    if n_steps and (record.end == "diverged" or record.rows[-1].get("diverged") is True or _blew_up(record)):
        return "diverged", (
            f"a loss, gradient or weight stopped being finite at env step {n_steps}. "
            "Restart with smaller learning rates, or let a controller turn them."
        )
    if record.end == "collapsed":
        return (
            "collapsing",
            f"the run was ended at env step {n_steps} because its samples had become all alike.",
        )
    if n_steps < MIN_STEPS:
        return "not enough evidence", f"{n_steps} env steps were finished; {MIN_STEPS} are needed at least."
    series = {key: record.series(key) for key in ("quality", "diversity", "coverage")}
    unknown = [key for key, values in series.items() if not np.isfinite(values[-_window(n_steps) :]).any()]
    if unknown:
        return "not enough evidence", f"the last env steps record no {' and no '.join(unknown)}."
    late = {key: _at_end(values) for key, values in series.items()}
    best = {key: _best(values) for key, values in series.items()}
    figures = ", ".join(f"{key} {value:.2f}" for key, value in late.items())
    rising = late["quality"] > _at_end(series["quality"][: -(n_steps // 2)]) + RISE
    alike = late["diversity"] < LOW_DIVERSITY or late["coverage"] < LOW_COVERAGE
    if alike and not rising:
        return "collapsing", (
            f"the samples are too much alike to stand for the data ({figures}; 1 = like real patches). "
            f"{_remedy(record)}"
        )
    if best["coverage"] - late["coverage"] > LARGE_LOSS or best["quality"] - late["quality"] > LARGE_LOSS:
        return "collapsing", (
            f"it was better before: quality fell from {best['quality']:.2f} to {late['quality']:.2f}, "
            f"coverage from {best['coverage']:.2f} to {late['coverage']:.2f}. {_remedy(record)}"
        )
    if late["quality"] >= GOOD_QUALITY and not alike:
        return "healthy", (
            f"samples resemble the data and differ as real patches do ({figures}; 1 = like real patches)."
        )
    seen = f"the samples are not like the data yet ({figures}; 1 = like real patches)"
    if rising:
        return "not enough evidence", f"{seen}, and still rising: keep training."
    return "not enough evidence", f"{seen}, and no longer rising: train longer or change the settings."


def _remedy(record: RunRecord) -> str:
    """Say where the best samples were."""
    quality = record.series("quality")
    label, x = record.progress
    best = x[int(np.nanargmax(quality))]
    place = f"after {best:,.0f} images" if label == "images seen" else f"at env step {best:.0f}"
    return f"The best quality was {place}; go back there, or add instance noise or augmentation."


def _cautions(record: RunRecord) -> tuple[str, ...]:
    """Return what the offline evaluation says against a good verdict."""
    metric = (record.evaluation or {}).get("memorisation", {})
    low, value = metric.get("low"), metric.get("value")
    if isinstance(low, int | float) and isinstance(value, int | float) and low > 0.05:
        return (
            f"{value:.0%} of the samples lie nearer to a training patch than 95 % of unseen real patches do "
            "(5 % are expected): the generator may be memorising its training patches.",
        )
    return ()


def _blew_up(record: RunRecord) -> bool:
    """Whether the last row holds a loss that is not a finite number."""
    losses = [record.rows[-1].get(key, 0.0) for key in ("g_loss", "d_loss")]
    return any(not (isinstance(loss, int | float) and np.isfinite(loss)) for loss in losses)


def _window(n: int) -> int:
    return max(3, n // 10)


def _at_end(values: NDArray[np.float64]) -> float:
    """Return the median over the last tenth, three at least."""
    recent = values[-_window(len(values)) :]
    recent = recent[np.isfinite(recent)]
    return float(np.median(recent)) if len(recent) else float("nan")


def _best(values: NDArray[np.float64]) -> float:
    """Return the largest running median, so that one lucky step is no yardstick."""
    size = _window(len(values))
    parts = [values[i : i + size] for i in range(len(values) - size + 1)]
    return max(float(np.median(part[np.isfinite(part)])) for part in parts if np.isfinite(part).any())
