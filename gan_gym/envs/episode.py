"""Where an episode stands between two env steps, apart from the GAN itself."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_gym.data.modes import NOT_COUNTED, Modes
from gan_gym.gan import Statistics
from gan_gym.instances import Instance
from gan_gym.rewards import NOTHING, Similarity

TRACE_LENGTH = 400
"""Env steps kept for `render`."""


def _empty_trace() -> deque[dict[str, float]]:
    return deque(maxlen=TRACE_LENGTH)


@dataclass
class Episode:
    """Counters, scores and the last action of one GAN's run."""

    instance: Instance
    """What was drawn at reset."""
    last_action: NDArray[np.float32]
    """`(k,)`, zeros before the first step."""
    reward_terms: dict[str, float]
    """Terms of the last reward by name."""
    previous: Statistics = Statistics()  # noqa: RUF009 (frozen)
    """Statistics of the block before the last."""
    similarity: Similarity = NOTHING
    """Scores now."""
    similarity_before: Similarity = NOTHING
    """Scores an env step earlier."""
    modes: Modes = NOT_COUNTED
    """Modes with at least 1 and at least 20 good samples, and the share of those; -1 if not countable."""
    n_steps: int = 0
    """Env steps taken."""
    n_collapsed: int = 0
    """Env steps in a row whose samples were all the same."""
    end: str = ""
    """Why the episode has ended; empty while it goes on."""
    trace: deque[dict[str, float]] = field(default_factory=_empty_trace)
    """Numbers of `info`, one row an env step."""

    def values(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return {
            **asdict(self),
            "last_action": self.last_action.tolist(),
            "modes": list(self.modes),
            "trace": [dict(row) for row in self.trace],
        }

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Return the episode that `values` described."""
        return cls(
            **{
                **values,
                "instance": Instance(**values["instance"]),
                "last_action": np.array(values["last_action"], np.float32),
                "reward_terms": dict(values["reward_terms"]),
                "previous": Statistics(**values["previous"]),
                "similarity": Similarity(**values["similarity"]),
                "similarity_before": Similarity(**values["similarity_before"]),
                "modes": tuple(values["modes"]),
                "trace": deque(values["trace"], maxlen=TRACE_LENGTH),
            }
        )
