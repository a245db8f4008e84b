"""An optimizer's moments as tensors by name, so that a file can hold them without a pickle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

_PREFIX = "optimizer/"


def moments_of(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer keeps of each parameter: `optimizer/<parameter>/<moment>`, not copied."""
    return {
        f"{_PREFIX}{i}/{name}": torch.as_tensor(moment)
        for i, moments in optimizer.state_dict()["state"].items()
        for name, moment in moments.items()
    }


def restore_moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer what `moments_of` returned of another; other names are passed over.

    Raises:
        ValueError: if a name is no such name.
    """
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_PREFIX):
            _, i, moment = name.split("/")
            moments.setdefault(int(i), {})[moment] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
