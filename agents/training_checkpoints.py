"""Checkpoints of a controller's training under way: a killed one goes on, and ends as one never disturbed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from agents.conditions import check_conditions
from agents.learner_state import learner_state, restore_learner
from agents.validation import KeepBest
from gan_gym.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

_LEARNER, _BEST = "learner/", "best/"


class TrainingCheckpoints:
    """The checkpoints of one training.

    Args:
        folder: where they lie.
        conditions: JSON-able; all that the training depends on: one under others is not continued.
    """

    def __init__(self, folder: Path, conditions: Mapping[str, Any]) -> None:
        self.folder = folder
        self._conditions = json.loads(json.dumps(conditions))

    def save(self, model: OnPolicyAlgorithm, normalised: VecNormalize, keep_best: KeepBest) -> None:
        """Write where a training stands, between two rollouts."""
        tensors, values = learner_state(model, normalised)
        best, course = keep_best.state()
        save_checkpoint(
            self.folder,
            model.num_timesteps,
            {_LEARNER + name: tensor for name, tensor in tensors.items()}
            | {_BEST + name: tensor for name, tensor in best.items()},
            {"conditions": self._conditions, "learner": values, "course": course},
        )

    def restore(self, model: OnPolicyAlgorithm, normalised: VecNormalize, keep_best: KeepBest) -> bool:
        """Bring a new training to where one that was stopped stood; return whether there was one.

        Raises:
            CheckpointError: if no checkpoint is whole, or the newest is of another version.
            ValueError: if that training was under other conditions; names them.
        """
        found = load_checkpoint(self.folder)
        if found is None:
            return False
        tensors, values = found
        try:
            check_conditions("training", values["conditions"], self._conditions, self.folder.parent)
            own = {n.removeprefix(_LEARNER): t for n, t in tensors.items() if n.startswith(_LEARNER)}
            best = {n.removeprefix(_BEST): t for n, t in tensors.items() if n.startswith(_BEST)}
            restore_learner(model, normalised, own, values["learner"])
            keep_best.restore(best, values["course"])
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the checkpoints in '{self.folder}' were written by another version ({error!r}); "
                "continue with that version, or remove them to begin anew"
            ) from error
        logger.info("continues a training after %d env steps", model.num_timesteps)
        return True
