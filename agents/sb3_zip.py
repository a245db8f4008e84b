"""Read the policy out of a zip that Stable-Baselines3's `model.save` wrote, without unpickling anything.

Such a zip holds pickles, which run code when they are loaded, beside the policy's weights, which need none:
only the weights, and the name of the policy's class, are read.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
"""Algorithms by the module of their policy's class; A2C and TRPO have PPO's, DDPG has TD3's."""
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
    n_rows = len(names(resolve(DEFAULT_KNOBS)))
    statistics = {
        "observation.mean": torch.zeros(n_rows),
        "observation.std": torch.ones(n_rows),
    }
    return ALGOS_BY_MODULE[module], {f"policy.{name}": x for name, x in weights.items()} | statistics


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
