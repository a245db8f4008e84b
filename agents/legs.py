"""A training in legs, each with episodes and random numbers of its own, so that it can go on from each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class Legs(BaseCallback):
    """Begins a leg every so many env steps, at a rollout: all episodes and random numbers start anew.

    What a leg learns depends on the learner at its beginning, the seed and its number alone.

    Args:
        every: env steps of a leg.
        seed: of the training.
        keep: called as each leg begins, before anything is drawn, if given.
    """

    def __init__(self, every: int, seed: int, keep: Callable[[], None] | None) -> None:
        super().__init__()
        self.every, self.seed, self.keep = every, seed, keep
        self.leg = -1

    def _on_rollout_start(self) -> None:  # the policy has just been updated
        if (leg := self.num_timesteps // self.every) > self.leg:
            self.leg = leg
            if self.keep is not None:
                self.keep()
            self._begin()

    def _on_step(self) -> bool:
        return True

    def _begin(self) -> None:
        model = self.model
        assert isinstance(model, OnPolicyAlgorithm)
        assert model.env is not None
        model.set_random_seed(int(np.random.SeedSequence((self.seed, self.leg)).generate_state(1)[0]))
        model._last_obs = model.env.reset()  # type: ignore[assignment]
        model._last_episode_starts = np.ones(model.env.num_envs, bool)
