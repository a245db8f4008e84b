"""What a run's own statistics and its evaluation say about it, in plain words, and what to do."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.run_record import RunRecord

State = Literal[
    "healthy", "keep training", "stop", "collapsing", "memorising", "diverged", "not enough evidence"
]

STATES: dict[State, str] = {
    "healthy": "the generated patches resemble real ones and differ among each other as real ones do",
    "keep training": "not there yet, and still getting better",
    "stop": "not there, and no longer getting better: more of the same training will not help",
    "collapsing": "the generated patches are too much alike, or leave out much of the real tissue",
    "memorising": "the generated patches repeat training patches instead of being new ones",
    "diverged": "the training broke down numerically",
    "not enough evidence": "too little was recorded to say",
}
"""What each verdict means."""

MIN_STEPS = 5
"""Fewer env steps are no evidence."""
MIN_STEPS_TO_STOP = 10
"""Fewer env steps do not show that quality has stopped rising."""
LOW_DIVERSITY = 0.5
"""Distance among generated samples over that among real ones; below it they are too much alike."""
LOW_COVERAGE = 0.2
"""Coverage below which most real tissue has no generated counterpart, however real the fakes look."""
GOOD_QUALITY = 0.5
"""Quality (0 noise, 1 unseen real patches) from which samples resemble the data."""
WORTH_KEEPING = 0.25
"""Quality below which no checkpoint is worth going back to."""
LARGE_LOSS = 0.2
"""Fall of quality, or of coverage, below its best that is no longer fluctuation."""
RISE = 0.05
"""Gain of quality over the last half of the run that counts as still rising."""
EXPECTED_NEAR = 0.05
"""Share of samples nearer to a training patch than 95 % of unseen real patches, if nothing is memorised."""
MANY_NEAR = 2 * EXPECTED_NEAR
"""Share of them from which a generator counts as memorising."""

_ANOTHER = (
    "For the next run, try another --controller (pretrained, tuned_constant, or ada, which augments) "
    "or another --seed"
)
_COPYING_ADVICE = (
    "Do not publish these samples as new ones. Train on more patches, stop earlier, or augment "
    "(--controller ada); then look at the closest pairs again."
)


@dataclass(frozen=True)
class Verdict:
    """A state, why, and what to do about it."""

    state: State
    """One of `STATES`."""
    reason: str
    """What was seen."""
    advice: str
    """What to do."""
    cautions: tuple[str, ...] = ()
    """What the evaluation adds against it."""

    def __str__(self) -> str:
        """Return the verdict as one line."""
        return f"{self.state[0].upper()}{self.state[1:]}: {self.reason} {self.advice}"


def judge(record: RunRecord) -> Verdict:
    """Judge a run by quality, diversity and coverage at its end against its course, and by its evaluation.

    "At its end" is the median over the last tenth of the env steps, three at least. The first rule that
    applies decides; the thresholds above are our own choice.

    1. A loss, gradient or weight stopped being finite: diverged.
    2. The environment ended the run as collapsed: collapsing.
    3. The samples are too much alike (`LOW_DIVERSITY`, `LOW_COVERAGE`) and quality no longer rises (`RISE`),
       or coverage fell (`LARGE_LOSS`): collapsing.
    4. The whole 95 % interval of the evaluation's memorisation lies above `MANY_NEAR`: memorising.
    5. Fewer env steps than `MIN_STEPS`, or no such statistics: not enough evidence.
    6. Quality fell: stop.
    7. Quality is good (`GOOD_QUALITY`) and the samples are not too much alike: healthy.
    8. Quality still rises: keep training.
    9. Fewer env steps than `MIN_STEPS_TO_STOP`: not enough evidence; otherwise: stop.
    """
    course = _judge_course(record)
    copying = _memorisation(record)
    if copying is None or not copying.firm or course.state in ("diverged", "collapsing"):
        cautions = [] if copying is None else [f"{copying.seen}."]
        cautions += _missed(record) if course.state == "healthy" else []
        return replace(course, cautions=tuple(cautions))
    return Verdict("memorising", f"{copying.seen}, whatever else they look like.", _COPYING_ADVICE)


def _judge_course(record: RunRecord) -> Verdict:
    """Judge by the rows alone."""
    n_steps = len(record.rows)
    if n_steps and (record.end == "diverged" or record.rows[-1].get("diverged") is True or _blew_up(record)):
        return Verdict(
            "diverged",
            f"a loss, gradient or weight stopped being finite at env step {n_steps}.",
            f"{_ANOTHER}.",
        )
    if record.end == "collapsed":
        return Verdict(
            "collapsing",
            f"the run was ended at env step {n_steps} because its samples had become all alike.",
            _go_back(record),
        )
    if n_steps < MIN_STEPS:
        return Verdict(
            "not enough evidence",
            f"finished env steps (decisions of the controller): {n_steps}; {MIN_STEPS} are needed at least.",
            _train_on(record),
        )
    series = {key: record.series(key) for key in ("quality", "diversity", "coverage")}
    unknown = [key for key, values in series.items() if not np.isfinite(values[-_window(n_steps) :]).any()]
    if unknown:
        return Verdict(
            "not enough evidence",
            f"the last env steps record no {' and no '.join(unknown)}.",
            "Look at the samples, and run `gan-gym evaluate`.",
        )
    return _judge_series(record, series)


def _judge_series(record: RunRecord, series: dict[str, NDArray[np.float64]]) -> Verdict:
    """Judge by where quality, diversity and coverage ended and what they had been."""
    n_steps = len(record.rows)
    late = {key: _at_end(values) for key, values in series.items()}
    best = {key: _best(values) for key, values in series.items()}
    seen = f"{', '.join(f'{key} {value:.2f}' for key, value in late.items())}; 1 = like real patches"
    rising = late["quality"] > _at_end(series["quality"][: -(n_steps // 2)]) + RISE
    alike = late["diversity"] < LOW_DIVERSITY or late["coverage"] < LOW_COVERAGE
    fell = {key: best[key] - late[key] > LARGE_LOSS for key in ("coverage", "quality")}
    if alike and not rising:
        reason = f"the samples are too much alike to stand for the data ({seen})."
        return Verdict("collapsing", reason, _go_back(record))
    if fell["coverage"] or fell["quality"]:
        reason = (
            f"it was better before: quality fell from {best['quality']:.2f} to {late['quality']:.2f}, "
            f"coverage from {best['coverage']:.2f} to {late['coverage']:.2f} (1 = like real patches)."
        )
        return Verdict("collapsing" if fell["coverage"] else "stop", reason, _go_back(record))
    if late["quality"] >= GOOD_QUALITY and not alike:
        more = " Quality is still rising: a longer run may do better." if rising else ""
        reason = f"samples resemble the data and differ as real patches do ({seen})."
        return Verdict("healthy", reason, f"Look at the pictures and the evaluation before you use it.{more}")
    if rising:
        reason = f"the samples are not like the data yet ({seen}), and quality is still rising."
        return Verdict("keep training", reason, _train_on(record))
    reason = f"the samples are not like the data ({seen}), and quality is no longer rising"
    if n_steps < MIN_STEPS_TO_STOP:
        reason += f", but {n_steps} env steps are too few to call it off."
        return Verdict("not enough evidence", reason, _train_on(record))
    return Verdict(
        "stop",
        f"{reason}.",
        f"{_ANOTHER}; or more patches, a smaller --image_size, larger networks (--networks residual).",
    )


def _train_on(record: RunRecord) -> str:
    """Say how to train longer."""
    if not record.end:
        return "Let it go on, or continue it with `gan-gym train --out RUN --resume`."
    images, size = record.series("n_images"), ""
    if np.isfinite(images[-1]):
        size = f"; give --n_images {max(2 * images[-1], images[-1] / len(images) * MIN_STEPS_TO_STOP):.0f}"
    return f"Start a longer run, with another --out: a finished one cannot be extended{size}."


def _go_back(record: RunRecord) -> str:
    """Say where the best samples were, if they are worth it."""
    quality = record.series("quality")
    if not np.isfinite(quality).any() or np.nanmax(quality) < WORTH_KEEPING:
        return f"Its best samples were no better. {_ANOTHER}."
    label, x = record.progress
    best = x[int(np.nanargmax(quality))]
    place = f"after {best:,.0f} images" if label == "images seen" else f"at env step {best:.0f}"
    return (
        f"The best quality, {np.nanmax(quality):.2f}, was {place}: `gan-gym generate --run "
        f"{shlex.quote(f'{record.name}/best')}` uses the best checkpoint. {_ANOTHER}."
    )


@dataclass(frozen=True)
class _Copying:
    """What the evaluation says about training patches that come back."""

    seen: str
    firm: bool


def _memorisation(record: RunRecord) -> _Copying | None:
    """Return what the evaluation says against the samples' novelty, if anything."""
    metric = (record.evaluation or {}).get("memorisation", {})
    low, value = metric.get("low"), metric.get("value")
    if not (isinstance(low, int | float) and isinstance(value, int | float) and low > EXPECTED_NEAR):
        return None
    firm = low > MANY_NEAR
    reads = "the generator is memorising" if firm else "the generator may be memorising"
    return _Copying(
        f"{value:.0%} of the samples lie nearer to a training patch than 95 % of unseen real patches do "
        f"({EXPECTED_NEAR:.0%} are expected): {reads} its training patches",
        firm,
    )


def _missed(record: RunRecord) -> list[str]:
    """Return a caution where the independent evaluation finds much less variety than the run itself did."""
    metric = (record.evaluation or {}).get("coverage", {})
    high, value = metric.get("high"), metric.get("value")
    if not (isinstance(high, int | float) and isinstance(value, int | float) and high < LOW_COVERAGE):
        return []
    return [
        f"the independent evaluation finds a generated patch near only {value:.0%} of the real ones: expect "
        "less variety and detail than the run's own statistics suggest, and train longer if you can."
    ]


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
