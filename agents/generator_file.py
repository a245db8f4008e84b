"""The averaged generator of a run as two plain files."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from agents.resuming import best_generator
from gan_gym.checkpoint import CheckpointError, replace_file
from gan_gym.data.sampler import to_uint8
from gan_gym.data.sizes import parse_image_size
from gan_gym.gan import build_networks, family
from gan_gym.gan.flat import FlatModule
from gan_gym.metrics import Decoder
from gan_gym.randomness import generator

logger = logging.getLogger(__name__)

FORMAT = 1


def save_generator(
    module: nn.Module, run: Path, networks: str, shape: tuple[int, ...], n_images: int
) -> None:
    """Write `generator.safetensors`, then `generator.json`, into a run's folder."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in state.values()), (
        "a diverged generator is never kept"
    )
    content = save(state)
    head = {
        "format": FORMAT,
        "networks": networks,
        "shape": list(shape),
        "n_images": n_images,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    replace_file(run / "generator.safetensors", content)
    replace_file(run / "generator.json", (json.dumps(head, indent=1) + "\n").encode())


def save_best_generator(run: Path, networks: str, shape: tuple[int, ...]) -> None:
    """Write the generator of a run's best checkpoint into `run/best`, as `save_generator` does.

    It is the best by the quality that the controller is rewarded for, among the checkpoints, which are a
    twentieth of the run apart. Where it cannot be read, a warning says so.
    """
    try:
        tensors, n_images = best_generator(run)
    except CheckpointError as error:
        logger.warning("%s", error)
        return
    averaged = FlatModule(build_networks(networks, shape, 0)[0].eval(), trainable=False)
    averaged.load(tensors)
    (run / "best").mkdir(exist_ok=True)
    save_generator(averaged.module, run / "best", networks, shape, n_images)


def load_generator(folder: str, device: torch.device) -> nn.Module:
    """Load the generator of a run.

    Raises:
        ValueError: if the folder is no run, the run has no generator yet, or its files are damaged.
    """
    run = Path(folder)
    if not run.is_dir():
        raise ValueError(f"run folder '{run}' does not exist; give the --out folder of a `gan-gym train`")
    if not (run / "generator.json").is_file():
        unfinished = "the run has not finished; continue it with gan-gym train --resume"
        state = (
            unfinished
            if (run / "config.yaml").is_file()
            else "give the --out folder of a finished gan-gym train"
        )
        raise ValueError(f"'{run}' holds no generator.json: {state}")
    try:
        head: dict[str, Any] = json.loads((run / "generator.json").read_text())
        content = (run / "generator.safetensors").read_bytes()
        if head["format"] != FORMAT or family(head["networks"]) != "images":
            raise ValueError("unknown format, or networks that make no patches")
        shape = (3, *parse_image_size(head["shape"][1:]))
        if hashlib.sha256(content).hexdigest() != head["sha256"]:
            raise ValueError("the weights do not match their sha256")
        module, _ = build_networks(head["networks"], shape, 0)
        module.load_state_dict(load(content))
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the generator in '{run}' is unusable ({reason}); restore its files or train again"
        ) from None
    return module.to(device).eval()


@torch.no_grad()
def generate_batches(
    module: nn.Module, n: int, seed: int, device: torch.device, batch_size: int = 128
) -> Iterator[Tensor]:
    """Yield `n` generated patches on the CPU, uint8 `(B, 3, H, W)`; patch i depends on seed and i alone."""
    z_dim: int = module.z_dim  # type: ignore[assignment]
    for first in range(0, n, batch_size):
        rows = range(first, min(n, first + batch_size))
        z = torch.stack([torch.randn(z_dim, generator=generator(seed, "generate", i)) for i in rows])
        yield to_uint8(module(z.to(device)).cpu())


def decoder(module: nn.Module, device: torch.device) -> Decoder:
    """Return a generator in the form that the path length asks for."""

    @torch.no_grad()
    def decode(z: Tensor) -> Tensor:
        images: Tensor = module(z.to(device))
        return images.float().cpu()

    z_dim: int = module.z_dim  # type: ignore[assignment]
    return Decoder(decode, z_dim)


def generate(module: nn.Module, n: int, seed: int, device: torch.device) -> Tensor:
    """Return the patches of `generate_batches` in one tensor."""
    return torch.cat(list(generate_batches(module, n, seed, device)))
