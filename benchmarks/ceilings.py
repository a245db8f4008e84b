"""What real data itself reaches where modes can be counted, and what it is to have lost half of them."""

from __future__ import annotations

import numpy as np

from gan_gym.envs.problem import Problem
from gan_gym.randomness import generator

N_DRAWS = 20
"""Sets of real samples that are counted."""


def ceiling(problem: Problem) -> tuple[float, float, float] | None:
    """Return modes, modes with 20 samples and share of good samples of real data; `None` if uncounted."""
    if problem.count_modes is None:
        return None
    rng = generator(0, "ceiling")
    counts = [
        problem.count_modes(problem.source.batch(problem.n_counted, rng)[None])[0] for _ in range(N_DRAWS)
    ]
    modes, modes20, hq = np.mean(counts, axis=0).tolist()
    return modes, modes20, hq


def half_of_modes(problem: Problem) -> float:
    """Return the modes that are expected to show in the counted samples if these are of half the modes.

    It is half of them where samples are many (12.5 of 25, 4 of 8), and less where they are few: 1,000 samples
    of 500 of 1,000 modes show 432.
    """
    half = problem.n_modes / 2
    return float(half * (1 - (1 - 1 / half) ** problem.n_counted)) if half > 1 else half
