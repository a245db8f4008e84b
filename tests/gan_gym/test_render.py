from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch
from torch import Tensor

from gan_gym.render import draw_frame, image_grid


def _trace(n: int, value: float = 0.5) -> list[dict[str, float]]:
    row = {"g_loss": value, "d_loss": -value, "quality": 0.3, "g_lr": 1e-3, "instance_noise": 0.0}
    return [{**row, "env_step": float(i)} for i in range(n)]


def test_grid_lays_patches_out_row_by_row() -> None:
    patches = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 4)
    grid = image_grid(patches, n_columns=3)
    assert grid.shape == (4, 12, 3)
    assert grid.dtype == np.uint8
    assert grid[::2, ::4, 0].tolist() == [[0, 1, 2], [3, 4, 255]]


def test_grid_keeps_channels_and_maps_floats_to_levels() -> None:
    pixel = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    assert image_grid(pixel, n_columns=1).tolist() == [[[0, 128, 255]]]
    large = image_grid(pixel, n_columns=1, scale=3)
    assert large.shape == (3, 3, 3)
    assert (large == [0, 128, 255]).all()


RNG = torch.Generator().manual_seed(0)
SAMPLES = {
    "points": torch.randn(50, 2, generator=RNG),
    "patches": torch.rand(9, 3, 8, 16, generator=RNG) * 2 - 1,
}


@pytest.mark.parametrize("samples", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("spoiled", [torch.nan, torch.inf])
def test_frame_is_drawn_whatever_was_generated(samples: Tensor, spoiled: float) -> None:
    frame = draw_frame(samples, torch.full_like(samples, spoiled), _trace(1), ("g_lr", "instance_noise"))
    assert frame.shape == (600, 800, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 0


def test_drawing_is_exact_and_leaves_no_trace() -> None:
    before = dict(matplotlib.rcParams)
    samples = SAMPLES["patches"]
    one, again, other = (draw_frame(samples, samples, _trace(n), ("g_lr",)) for n in (2, 2, 3))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert dict(matplotlib.rcParams) == before


def test_frame_shows_the_samples() -> None:
    real, moved = SAMPLES["points"], SAMPLES["points"] + 1
    assert not np.array_equal(
        *(draw_frame(real, fake, _trace(1), ("g_lr",))[:300, 400:] for fake in (real, moved))
    )
