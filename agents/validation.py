"""Keep the best of what an algorithm learns: its policy is tried on validation instances now and then."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from agents.controller import Controller
from agents.evaluation import evaluate
from agents.mixtures import Share
from gan_gym.gan.networks import family

logger = logging.getLogger(__name__)

N_TIMES = 10
"""Times a training's policy is validated."""
N_EPISODES = {"points": 32, "images": 6}
"""Validation GANs of each kind, by the family of their networks."""
PATIENCE = 4
"""Validations without a new best after which training stops."""


@dataclass(frozen=True)
class Validation:
    """How a policy did on instances that it is not trained on, and no benchmark tests on."""

    timesteps: int
    """Env steps it had learned from."""
    quality: Mapping[str, float]
    """Mean final quality by environment."""

    @property
    def mean(self) -> float:
        """Mean over the environments, each counted once."""
        return float(np.mean(list(self.quality.values())))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-able."""
        return asdict(self)


def validate(
    controller: Controller, shares: Sequence[Share], timesteps: int, n_episodes: Mapping[str, int]
) -> Validation:
    """Let a controller act on the validation instances of each kind of environment; the same each time.

    Args:
        controller: what acts.
        shares: the environments, with their arguments.
        timesteps: env steps it has learned from.
        n_episodes: GANs of each kind, by family.
    """
    quality = {}
    for share in shares:
        kwargs = {**share.kwargs, "instances": "validation", "knobs": controller.knobs, "compile": False}
        rows = evaluate(
            controller, share.id, n_episodes=n_episodes[family(_networks(share))], env_kwargs=kwargs
        )
        quality[share.id] = round(float(np.mean([row.final_quality for row in rows])), 4)
    return Validation(timesteps, quality)


def _networks(share: Share) -> str:
    import gymnasium as gym

    networks: str = gym.make(f"gan_gym:{share.id}", **share.kwargs).unwrapped.networks  # type: ignore[attr-defined]
    return networks


class KeepBest(BaseCallback):
    """Validates the policy `N_TIMES` times, keeps the best, and stops once `PATIENCE` of them were no better.

    Args:
        shares: the environments it learns in.
        total_timesteps: env steps of the training.
        current: returns the controller as it is now.
    """

    def __init__(
        self, shares: Sequence[Share], total_timesteps: int, current: Callable[[], Controller]
    ) -> None:
        super().__init__()
        self.shares, self.current = shares, current
        self.every = max(1, total_timesteps // N_TIMES)
        self.course: list[Validation] = []
        self.best: Controller | None = None
        self._next = self.every

    @property
    def chosen(self) -> Validation:
        """The best validation so far; the earliest of equals."""
        return max(self.course, key=lambda validation: validation.mean)

    def _on_training_start(self) -> None:
        self._validate()

    def _on_step(self) -> bool:
        if self.num_timesteps < self._next:
            return True
        self._next += self.every
        self._validate()
        n_worse = len(self.course) - 1 - self.course.index(self.chosen)
        if n_worse >= PATIENCE:
            logger.info("stops: no better for %d validations", n_worse)
        return n_worse < PATIENCE

    def _validate(self) -> None:
        controller = copy.deepcopy(self.current())
        controller.policy.set_training_mode(False)
        self.course.append(validate(controller, self.shares, self.num_timesteps, N_EPISODES))
        for name, quality in self.course[-1].quality.items():
            self.logger.record(f"validation/{name}", quality)
        self.logger.record("validation/quality", self.course[-1].mean)
        if self.chosen is self.course[-1]:
            self.best = controller
