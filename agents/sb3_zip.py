"""Read the policy out of a zip that Stable-Baselines3's `model.save` wrote, without unpickling anything.

Such a zip holds pickles, which run code when they are loaded, beside the policy's weights, which need none:
only the weights, and the name of the policy's class, are read.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.algorithms import find
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.observations import names

ALGOS_BY_MODULE = {
    "stable_baselines3.common.policies": "ppo",
    "stable_baselines3.dqn.policies": "dqn",
    "stable_baselines3.sac.policies": "sac",
    "stable_baselines3.td3.policies": "td3",
    "sb3_contrib.ars.policies": "ars",
    "sb3_contrib.common.recurrent.policies": "recurrent_ppo",
    "sb3_contrib.crossq.policies": "crossq",
    "sb3_contrib.qrdqn.policies": "qrdqn",
    "sb3_contrib.tqc.policies": "tqc",
}
"""Algorithms by the module of their policy's class; see `_algo` for those that share one."""
MOST_BYTES = 64 * 2**20
"""Largest member that is read; our policies take less than one."""


def read_sb3_zip(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Return the algorithm, and what `Controller.of` takes for it and the default knobs.

    Observations are taken as they are: where the model was trained on normalised ones (`VecNormalize`), use
    `Controller.learned` in the script that trains it.

    Raises:
        ValueError: if the file is no such zip, too large, damaged, or of a policy that is not ours.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(_member(archive, "data"))
            content = _member(archive, "policy.pth")
        module = data["policy_class"]["__module__"]
        if not content.startswith(b"PK"):
            raise ValueError("policy.pth is none of torch.save")
        weights: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not all(isinstance(tensor, Tensor) for tensor in weights.values()):
            raise TypeError("weights that are no tensors")
    except Exception as error:  # readers of zip and weights raise all kinds on broken bytes
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"'{path}' is no usable model of Stable-Baselines3 ({reason}); save it again with model.save"
        ) from None
    if module not in ALGOS_BY_MODULE:
        raise ValueError(f"'{path}' holds a policy of {module}; give one of {', '.join(ALGOS_BY_MODULE)}")
    algo = _algo(module, data, weights)
    _check_activation(path, algo, data)
    n_rows = len(names(resolve(DEFAULT_KNOBS)))
    statistics = {
        "observation.mean": torch.zeros(n_rows),
        "observation.std": torch.ones(n_rows),
    }
    return algo, {f"policy.{name}": x for name, x in weights.items()} | statistics


def _algo(module: str, data: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """Return the algorithm; A2C and TRPO have PPO's policy, DDPG has TD3's with one critic."""
    algo = ALGOS_BY_MODULE[module]
    if algo == "ppo" and "clip_range" not in data:
        return "trpo" if "cg_max_steps" in data else "a2c"
    if algo == "td3" and not any(name.startswith("critic.qf1.") for name in weights):
        return "ddpg"
    return algo


def _check_activation(path: Path, algo: str, data: Mapping[str, Any]) -> None:
    """Check that the layers are followed by what ours are: weights do not tell.

    Raises:
        ValueError: if they are not.
    """
    arguments = data.get("policy_kwargs")
    found = arguments.get("activation_fn") if isinstance(arguments, dict) else None
    expected = find(algo).activation
    if isinstance(found, str) and f".{expected}'" not in found:
        raise ValueError(
            f"'{path}' has the activation {found}, not {expected}; train with "
            f"policy_kwargs=policy_arguments('{algo}')"
        )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a member whose size was looked at before."""
    size = archive.getinfo(name).file_size
    if size > MOST_BYTES:
        raise ValueError(f"{name} has {size} bytes; {MOST_BYTES} at most are read")
    with archive.open(name) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{name} is larger than it says")
    return content
