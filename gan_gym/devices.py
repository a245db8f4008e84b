"""Choose the device a run computes on."""

from __future__ import annotations

import torch


def resolve_device(name: str) -> torch.device:
    """Return the torch device of that name; `"auto"` is CUDA where there is one, else the CPU.

    Raises:
        ValueError: if the name is no device or the device is not here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device '{name}' is unknown; give 'auto', 'cpu', 'cuda' or 'cuda:N'") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device '{name}' is not supported; give 'auto', 'cpu', 'cuda' or 'cuda:N'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device '{name}' is not here: {torch.cuda.device_count()} CUDA devices found; "
            "give 'auto' or 'cpu'"
        )
    return device
