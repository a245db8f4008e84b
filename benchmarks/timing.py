"""Time several things side by side, so that what else runs on the machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.statistics import interval, median

Seconds = NDArray[np.float64]
"""`(repeats,)` seconds."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of times measured side by side."""

    ratio: float
    """Median over the repeats."""
    low: float
    """Lower end of the median's 95 % bootstrap interval."""
    high: float
    """Upper end of it."""

    @classmethod
    def of(cls, ratios: NDArray[np.float64]) -> Ratio:
        """Summarise the ratios of all repeats."""
        return cls(*interval(ratios[None], median))


def stopwatch(run: Callable[[], object]) -> float:
    """Return the seconds that `run()` takes, work that a GPU still has to do included."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def side_by_side(runs: Sequence[Callable[[], object]], repeats: int) -> NDArray[np.float64]:
    """Time all of `runs` in turn, `repeats` times each, after one round that does not count.

    The order is turned round with every repeat, so that none always profits from what another left.

    Args:
        runs: what is timed.
        repeats: rounds that count.

    Returns:
        Seconds, `(len(runs), repeats)`; those of one column were measured in one round.
    """
    rounds = np.zeros((repeats + 1, len(runs)))
    for i, times in enumerate(rounds):
        for j in range(len(runs))[:: -1 if i % 2 else 1]:
            times[j] = stopwatch(runs[j])
    return rounds[1:].T
