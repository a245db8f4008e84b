"""Where an attached controller stands, apart from the loop it is in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from gan_gym.gan import Statistics
from gan_gym.rewards import Similarity


@dataclass
class Progress:
    """Counters, statistics and the last action; JSON-able by `values`."""

    last_action: list[float]
    """One component a knob, zeros before the first decision."""
    n_steps: int = 0
    """Steps reported."""
    n_blocks: int = 0
    """Blocks of steps completed."""
    n_decisions: int = 0
    """Decisions made."""
    statistics: Statistics = field(default_factory=Statistics)
    """Of the last block."""
    previous: Statistics = field(default_factory=Statistics)
    """Of the block before it."""
    similarity: Similarity | None = None
    """Scores at the last decision; `None` before the first."""
    policy_state: Any = None
    """State of a recurrent policy."""
    diverged: bool = False
    """Whether something was finite in no step of a block."""

    def values(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Return the progress that `values` described."""
        similarity = values["similarity"]
        return cls(
            **{
                **values,
                "statistics": Statistics(**values["statistics"]),
                "previous": Statistics(**values["previous"]),
                "similarity": None if similarity is None else Similarity(**similarity),
            }
        )
