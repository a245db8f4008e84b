"""Time two things side by side, so that what else runs on the machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.statistics import interval

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
        return cls(*interval([ratios], lambda values: float(np.median(values))))


def stopwatch(run: Callable[[], object]) -> float:
    """Return the seconds that `run()` takes, work that a GPU still has to do included."""
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def side_by_side(
    first: Callable[[], object], second: Callable[[], object], repeats: int, tick: Callable[[], object]
) -> tuple[Seconds, Seconds]:
    """Time `first` and `second` in turn, `repeats` times each, after one run of either that does not count.

    Which goes first changes with every repeat, so that neither always profits from what the other left.

    Args:
        first: what is timed.
        second: what it is compared with.
        repeats: pairs that count.
        tick: called after every pair, the one that does not count included.
    """
    times: list[tuple[float, float]] = []
    for i in range(repeats + 1):
        if i % 2:
            late = stopwatch(second)
            times.append((stopwatch(first), late))
        else:
            times.append((stopwatch(first), stopwatch(second)))
        tick()
    pairs = np.array(times[1:])
    return pairs[:, 0], pairs[:, 1]
