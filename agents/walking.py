"""A walk through a generator's latents as an animated GIF, in a closed loop.

A GIF needs nothing beside Pillow. An MP4 would need a video encoder, which the package does not depend on;
`ffmpeg -i walk.gif walk.mp4` makes one.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from gan_gym.checkpoint import replace_file
from gan_gym.latents import slerp
from gan_gym.randomness import generator
from gan_gym.render import image_grid

N_WALKERS = 4
"""Walks shown side by side."""
N_STOPS = 5
"""Latents on the way of each."""
N_BETWEEN = 12
"""Frames from one latent to the next."""
_FRAME_MS = 80
_SMALLEST = 96
"""Pixels a side to which smaller patches are enlarged, by whole factors."""


def walk(stops: Tensor, n_between: int = N_BETWEEN) -> Tensor:
    """Return a closed loop through latents `stops` `(S, D)`: `(S * n_between, D)`, `stops[0]` first."""
    ends = zip(stops, stops.roll(-1, 0), strict=True)
    return torch.stack([slerp(a, b, i / n_between) for a, b in ends for i in range(n_between)])


@torch.no_grad()
def save_walk(module: nn.Module, seed: int, device: torch.device, file: Path) -> None:
    """Write the walks of some latents side by side as one GIF that loops without a seam.

    Args:
        module: a generator of patches, in evaluation mode.
        seed: seed of the latents.
        device: where the generator lies.
        file: the GIF.
    """
    z_dim: int = module.z_dim  # type: ignore[assignment]
    stops = torch.randn(N_WALKERS, N_STOPS, z_dim, generator=generator(seed, "walk"))
    latents = torch.stack([walk(each) for each in stops], dim=1)
    frames = []
    for z in latents:
        patches = module(z.to(device)).cpu()
        scale = max(1, math.ceil(_SMALLEST / max(patches.shape[2:])))
        frames.append(Image.fromarray(image_grid(patches, n_columns=N_WALKERS, scale=scale)).quantize(128))
    gif = io.BytesIO()
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:], duration=_FRAME_MS, loop=0)
    replace_file(file, gif.getvalue())
