"""What an environment trains its GAN on, apart from how it trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gan_gym.data.modes import Modes
from gan_gym.gan import Source
from gan_gym.rewards import Scorer


@dataclass(frozen=True)
class Problem:
    """Data, reward model and mode counter; shared by environments and their forks, never changed."""

    source: Source
    """Real samples the GAN is trained on."""
    scorer: Scorer
    """Scores generated samples against real ones."""
    n_scored: int
    """Generated samples scored per env step."""
    shown: Tensor
    """Real samples drawn beside generated ones, on the CPU."""
    count_modes: Callable[[Tensor], list[Modes]] | None = None
    """Maps n sets of samples, `(n, N, *shape)`, to the modes of each; for `info` alone."""
    n_modes: int = 0
    """Modes of the real data; 0 where they cannot be counted."""
    n_counted: int = 0
    """Generated samples whose modes are counted per env step."""
