"""Keep the best of what an algorithm learns: its policy is tried on validation instances now and then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from agents.controller import Controller
from agents.environments import make_one
from agents.evaluation import evaluate
from agents.mixtures import Share
from gan_gym.gan.networks import family

FIRST_SEED = 10_000
"""Of the resets: equal seeds draw equal starts in all distributions, and benchmarks test from 0 on."""
N_TIMES = 6
"""Times a training's policy is validated as it learns; it is before, too."""
N_EPISODES = {"points": 16, "images": 3}
"""Validation GANs of each kind, by the family of their networks."""
PATIENCE = 4
"""Validations without a new best after which training stops."""


@dataclass(frozen=True)
class Validation:
    """How a policy did on instances that it is not trained on, and no benchmark tests on."""

    timesteps: int
    """Env steps it had learned from."""
    quality: Mapping[str, float]
    """Mean final quality by the label of each share of the environments."""

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
        n = n_episodes[family(make_one(share.id, **share.kwargs).networks)]
        rows = evaluate(controller, share.id, n_episodes=n, seed=FIRST_SEED, env_kwargs=kwargs)
        quality[share.label] = round(float(np.mean([row.final_quality for row in rows])), 4)
    return Validation(timesteps, quality)


def validated_every(total_timesteps: int) -> int:
    """Return after how many env steps a policy is validated."""
    return max(1, total_timesteps // N_TIMES)


class KeepBest(BaseCallback):
    """Validates the policy before it learns and `N_TIMES` times as it does, and keeps the best.

    Training stops once `PATIENCE` validations in a row were no better.

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
        self.every = validated_every(total_timesteps)
        self.course: list[Validation] = []
        self._best: Controller | None = None
        self._next = 0

    @property
    def chosen(self) -> Validation:
        """The best validation so far; the earliest of equals."""
        return max(self.course, key=lambda validation: validation.mean)

    def controller(self) -> Controller:
        """Return the best controller, its validations in its card; there is none before training."""
        assert self._best is not None
        self._best.card["validation"] = {
            "quality": self.chosen.mean,
            "timesteps": self.chosen.timesteps,
            "course": [validation.as_dict() for validation in self.course],
        }
        return self._best

    def state(self) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """Return the tensors of the best controller, none before it, and the validations so far."""
        best = {} if self._best is None else self._best.tensors()
        return best, [validation.as_dict() for validation in self.course]

    def restore(self, best: Mapping[str, Tensor], course: Sequence[Mapping[str, Any]]) -> None:
        """Go on from what `state` returned."""
        self.course = [Validation(**values) for values in course]
        if best:
            self._best = self.current().copy(best)
        if self.course:
            self._next = (self.course[-1].timesteps // self.every + 1) * self.every

    @property
    def _n_worse(self) -> int:
        """How many validations came after the best."""
        return len(self.course) - 1 - self.course.index(self.chosen)

    def _on_rollout_start(self) -> None:  # the policy has just been updated
        if self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self.every + 1) * self.every
            self._validate()

    def _on_step(self) -> bool:
        return self._n_worse < PATIENCE

    def _on_training_end(self) -> None:
        if self.course[-1].timesteps < self.num_timesteps:
            self._validate()

    def _validate(self) -> None:
        controller = self.current().copy()
        self.course.append(validate(controller, self.shares, self.num_timesteps, N_EPISODES))
        for name, quality in self.course[-1].quality.items():
            self.logger.record(f"validation/{name}", quality)
        self.logger.record("validation/quality", self.course[-1].mean)
        if self.chosen is self.course[-1]:
            self._best = controller
