"""The state of an environment between two steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """All that is needed to continue a run bit for bit on the CPU; holds neither data nor reward model."""

    tensors: dict[str, Tensor]
    """Weights, moments and buffers by name."""
    values: dict[str, Any]
    """JSON-able: the instance, counters, knobs, statistics, and the state of the environment's generator."""
