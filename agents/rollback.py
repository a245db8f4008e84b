"""What a diverged run goes back to: its last good state, with smaller learning rates."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from agents.acting import RATES, State
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.snapshot import Snapshot
from gan_gym.knobs import KNOBS

logger = logging.getLogger(__name__)

MAX_ROLLBACKS = 3
"""Times a diverged run goes back, before it ends as diverged."""
ROLLBACK_FACTOR = 4.0
"""What learning rates and update ratios are divided by each time."""


class Rollback:
    """Holds the last good state of a run.

    Args:
        env: the run's environment, not diverged.
        state: the agent's state at this moment.
        values: what `values` returned when the run was stopped; `None` at its start.
        good: the good state then, where it is not the present one.
    """

    def __init__(
        self, env: GANEnv, state: State, values: dict[str, Any] | None = None, good: Snapshot | None = None
    ) -> None:
        found = values or {"n": 0, "n_from_here": 0, "state": state}
        self.env = env
        self.n: int = found["n"]
        """Times the run went back."""
        self.n_from_here: int = found["n_from_here"]
        """Times it went back to the present good state."""
        self.state: State = found["state"]
        """The agent's state at the good state."""
        self.good = good or env.snapshot()

    def keep(self, state: State) -> Snapshot:
        """Take the present state as the good one, and return it."""
        self.good, self.state, self.n_from_here = self.env.snapshot(), state, 0
        return self.good

    @property
    def exhausted(self) -> bool:
        """Whether the run may not go back again."""
        return self.n >= MAX_ROLLBACKS

    @property
    def rate_scale(self) -> float:
        """What a rule, which sets its rates exactly, has to multiply them by."""
        return float(ROLLBACK_FACTOR**-self.n)

    def go_back(self) -> State:
        """Restore the good state with smaller learning rates, and return the agent's state there."""
        self.n += 1
        self.n_from_here += 1
        logger.warning(
            "the run diverged; back to %d images with learning rates / %g",
            self.good.values["trainer"]["n_images"],
            ROLLBACK_FACTOR**self.n_from_here,
        )
        self.env.restore(self.good)
        settings = asdict(self.env.trainer.settings)
        self.env.set_knobs(
            {
                name: min(
                    settings[name], max(settings[name] / ROLLBACK_FACTOR**self.n_from_here, KNOBS[name].low)
                )
                for name in RATES
                if settings[name] > 0
            }
        )
        return self.state

    def give_up(self) -> None:
        """Restore the good state as it was: what a run that ends as diverged leaves behind."""
        logger.warning("the run diverged %d times; its last good generator is kept", self.n + 1)
        self.env.restore(self.good)

    def values(self) -> dict[str, Any]:
        """Return a JSON-able copy of all but the good state itself."""
        return {"n": self.n, "n_from_here": self.n_from_here, "state": self.state}
