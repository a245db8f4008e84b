"""Where a learner stands between two rollouts, as tensors and JSON: enough to go on, and no pickle."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from snn.moments import moments_of, restore_moments


def learner_state(
    model: OnPolicyAlgorithm, normalised: VecNormalize
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return copies of weights, the optimizer's moments and the normaliser's statistics; and the counters.

    Random numbers and episodes are not part of it: `agents.legs` begins them anew.
    """
    tensors = {f"policy/{name}": tensor for name, tensor in model.policy.state_dict().items()}
    tensors |= moments_of(model.policy.optimizer)
    values: dict[str, Any] = {"num_timesteps": model.num_timesteps, "n_updates": model._n_updates}
    for name, statistics in _statistics(normalised).items():
        tensors[f"{name}/mean"] = torch.as_tensor(np.asarray(statistics.mean))
        tensors[f"{name}/var"] = torch.as_tensor(np.asarray(statistics.var))
        values[f"{name}_count"] = float(statistics.count)
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, values


def restore_learner(
    model: OnPolicyAlgorithm, normalised: VecNormalize, tensors: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Bring a new learner to where another stood, before the first leg (`agents.legs`) of its own.

    Raises:
        KeyError, RuntimeError, ValueError: if that one had other networks.
    """
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("policy/")}
    model.policy.load_state_dict({name.removeprefix("policy/"): tensor for name, tensor in own.items()})
    restore_moments(model.policy.optimizer, tensors)
    model.num_timesteps, model._n_updates = int(values["num_timesteps"]), int(values["n_updates"])
    n_rows = normalised.observation_space.shape or ()
    model._last_obs = np.zeros((normalised.num_envs, *n_rows), np.float32)  # else `learn` would reset first
    for name, statistics in _statistics(normalised).items():
        statistics.mean = tensors[f"{name}/mean"].numpy().copy()
        statistics.var = tensors[f"{name}/var"].numpy().copy()
        statistics.count = values[f"{name}_count"]


def _statistics(normalised: VecNormalize) -> dict[str, RunningMeanStd]:
    return {"observations": cast(RunningMeanStd, normalised.obs_rms), "returns": normalised.ret_rms}
