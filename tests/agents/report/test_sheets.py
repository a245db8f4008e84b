"""Sheets show the patches they are made of, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from agents.sheets import distances, draw_closest_pairs, draw_pair, draw_progress, save_closest_pairs


def flat(*levels: int, size: int = 8) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, size, size)


def levels_in(sheet: Image.Image) -> set[int]:
    return set(np.unique(np.asarray(sheet)).tolist())


def test_closest_pairs_stand_side_by_side_and_their_distances_can_be_read(tmp_path: Path) -> None:
    fake, train = flat(10, 20, 30), flat(110, 120, 130, 140)
    pairs, ratios = torch.tensor([[2, 0], [0, 3]]), torch.tensor([0.0, 0.5])
    sheet = draw_closest_pairs(fake, train, pairs, ratios)
    pixels = np.asarray(sheet)[:, :, 0]
    assert {30, 110, 10, 140} <= levels_in(sheet)
    assert not {20, 120, 130} & set(pixels[:96].ravel().tolist())  # no pair of theirs is among the closest
    first, second = pixels[0, [0, 96]].tolist(), pixels[0, [208, 304]].tolist()
    assert (first, second) == ([30, 110], [10, 140])
    save_closest_pairs(sheet, ratios, tmp_path / "sheet.png")
    assert distances(tmp_path / "sheet.png") == "0.00, 0.50"


def test_progress_follows_the_first_row_of_every_grid(tmp_path: Path) -> None:
    grids = []
    for i in range(20):
        grid = np.full((128, 64, 3), 250, np.uint8)  # patches of 16 x 8
        grid[:16] = 5 + 10 * i
        Image.fromarray(grid).save(tmp_path / f"{i}.png")
        grids.append((i * 100, tmp_path / f"{i}.png"))
    sheet = draw_progress(grids, most=5)
    assert np.asarray(sheet)[::16, -1, 0].tolist() == [5, 55, 105, 145, 195]


def test_generated_stand_left_of_real(tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 200)):
        Image.new("RGB", (64, 64), (level,) * 3).save(tmp_path / f"{name}.png")
    pixels = np.asarray(draw_pair(tmp_path / "a.png", tmp_path / "b.png", ("generated", "real")))
    assert pixels[-1, [0, -1], 0].tolist() == [10, 200]
    assert (pixels[-1, 64:72] == 255).all()
