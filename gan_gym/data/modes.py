"""The counts of the mode-collapse protocols."""

from __future__ import annotations

from torch import Tensor

Modes = tuple[int, int, float]
"""Modes with at least 1 and with at least 20 good samples, and the share of good samples."""

NOT_COUNTED: Modes = (-1, -1, -1.0)
NO_MODES: Modes = (0, 0, 0.0)


def summarise(counts: Tensor, shares: Tensor) -> list[Modes]:
    """Return the modes of n sets from their samples of each mode `(n, K)` and shares of good ones `(n,)`."""
    seen = [(counts >= least).sum(dim=1).tolist() for least in (1, 20)]
    return list(zip(*seen, shares.tolist(), strict=True))
