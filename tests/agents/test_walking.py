"""The walk is smooth, closed, and stays among latents that a generator knows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence

from agents.walking import N_BETWEEN, N_STOPS, save_walk, walk
from gan_gym.gan import build_networks


def test_a_walk_is_a_closed_loop_of_like_steps() -> None:
    stops = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    latents = walk(stops, 10)
    torch.testing.assert_close(latents[::10], stops)
    steps = (latents - latents.roll(1, 0)).norm(dim=1)  # the last step leads back to the start
    assert steps.max() < 2 * steps.min()  # a seam would be ten steps long
    assert (latents.norm(dim=1) > 0.8 * stops.norm(dim=1).min()).all()


def test_the_gif_loops_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    module = build_networks("light", (3, 16, 16), 0)[0].eval()
    cpu = torch.device("cpu")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_walk(module, seed, cpu, tmp_path / f"{name}.gif")
    a, b, c = ((tmp_path / f"{name}.gif").read_bytes() for name in "abc")
    assert a == b != c
    with Image.open(io.BytesIO(a)) as gif:
        assert gif.info["loop"] == 0
        assert gif.size == (4 * 96, 96)
        frames = [np.asarray(frame.convert("RGB"), np.float32) for frame in ImageSequence.Iterator(gif)]
    assert len(frames) == N_STOPS * N_BETWEEN
    jumps = [np.abs(x - y).mean() for x, y in zip(frames, frames[-1:] + frames[:-1], strict=True)]
    apart = np.abs(frames[0] - frames[len(frames) // 2]).mean()
    assert max(jumps) < apart
