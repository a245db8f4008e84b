"""The averaged generator of a run as two plain files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from gan_gym.checkpoint import replace_file
from gan_gym.gan import NETWORKS, build_networks
from gan_gym.randomness import generator

FORMAT = 1


def save_generator(module: nn.Module, run: Path, networks: str, shape: tuple[int, ...], n_images: int) -> None:
    """Write `generator.safetensors` and `generator.json` into a run's folder."""
    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()})
    head = {
        "format": FORMAT,
        "networks": networks,
        "shape": list(shape),
        "n_images": n_images,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    replace_file(run / "generator.safetensors", content)
    replace_file(run / "generator.json", (json.dumps(head, indent=1) + "\n").encode())


def load_generator(run: Path, device: torch.device) -> nn.Module:
    """Load the generator of a run.

    Raises:
        ValueError: if the folder is no run, the run has no generator yet, or its files are damaged.
    """
    if not run.is_dir():
        raise ValueError(f"run folder '{run}' does not exist; give the --out folder of a `gan-gym train`")
    if not (run / "generator.json").is_file():
        state = "has not finished; continue it with gan-gym train --resume" if (run / "config.yaml").is_file() else ""
        raise ValueError(f"'{run}' holds no generator.json: it {state or 'is not the folder of a finished run'}")
    try:
        head: dict[str, Any] = json.loads((run / "generator.json").read_text())
        content = (run / "generator.safetensors").read_bytes()
        if head["format"] != FORMAT or head["networks"] not in NETWORKS:
            raise ValueError("unknown format or networks")
        if hashlib.sha256(content).hexdigest() != head["sha256"]:
            raise ValueError("the weights do not match their sha256")
        module, _ = build_networks(head["networks"], tuple(head["shape"]), 0)
        module.load_state_dict(load(content))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the generator in '{run}' is unusable ({reason}); restore its files or train again") from None
    return module.to(device).eval()


@torch.no_grad()
def generate(module: nn.Module, n: int, seed: int, device: torch.device, batch_size: int = 128) -> Tensor:
    """Return `n` generated patches `(n, 3, H, W)` in [-1, 1] on the CPU; patch i depends on the seed and i alone."""
    z_dim: int = module.z_dim  # type: ignore[assignment]
    z = torch.stack([torch.randn(z_dim, generator=generator(seed, "generate", i)) for i in range(n)])
    return torch.cat([module(part.to(device)).cpu() for part in z.split(batch_size)])
