"""Sheets of patches for people: the same latents over time, generated beside real, pairs that lie closest."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from gan_gym.checkpoint import replace_file
from gan_gym.render import image_grid

GRID_ROWS = 8
"""Rows of a run's sample grids; the latents of the first one are followed over the run."""
_LABEL = 18
"""Height of a line of text, px."""
_GAP = 8
_SMALLEST = 96
"""Pixels a side to which smaller patches of a pair are enlarged, by whole factors."""
_FONT_SIZE = 13


def draw_pair(generated: Path, real: Path, labels: tuple[str, str]) -> Image.Image:
    """Put a grid of generated patches beside one of real ones, pixel for pixel, each under its label."""
    grids = [_open(generated), _open(real)]
    width = sum(grid.width for grid in grids) + _GAP
    sheet = Image.new("RGB", (width, _LABEL + max(grid.height for grid in grids)), "white")
    left = 0
    for grid, label in zip(grids, labels, strict=True):
        sheet.paste(grid, (left, _LABEL))
        _write(sheet, (left + 2, 1), label)
        left += grid.width + _GAP
    return sheet


def draw_progress(grids: Sequence[tuple[int, Path]], most: int = 8) -> Image.Image:
    """Follow the same latents through a run: one row a moment, the images seen by then beside it.

    Args:
        grids: sample grids by images seen; at least one.
        most: rows; the grids that are kept are evenly spaced, the first and the last among them.
    """
    chosen = sorted({round(i) for i in np.linspace(0, len(grids) - 1, min(most, len(grids)))})
    rows = []
    for i in chosen:
        grid = _open(grids[i][1])
        rows.append(grid.crop((0, 0, grid.width, max(1, grid.height // GRID_ROWS))))
    labels = [f"{grids[i][0]:,}" for i in chosen]
    margin = max(round(_font().getlength(label)) for label in labels) + _GAP
    sheet = Image.new("RGB", (margin + max(row.width for row in rows), sum(r.height for r in rows)), "white")
    top = 0
    for row, label in zip(rows, labels, strict=True):
        sheet.paste(row, (margin, top))
        _write(sheet, (2, top + max(0, (row.height - _LABEL) // 2)), label)
        top += row.height
    return sheet


def draw_closest_pairs(
    fake: Tensor, train: Tensor, pairs: Tensor, ratios: Tensor, n_columns: int = 4
) -> Image.Image:
    """Draw generated patches beside the training patches they lie nearest to, the distance under each pair.

    Args:
        fake: `(M, 3, H, W)` uint8 generated patches.
        train: `(N, 3, H, W)` uint8 training patches.
        pairs: `(P, 2)` indices into both, the closest pair first.
        ratios: `(P,)` distances in units of the median distance of an unseen real patch; 0 is a copy.
        n_columns: pairs in a row.
    """
    scale = math.ceil(_SMALLEST / max(fake.shape[2:]))
    tiles = [
        image_grid(torch.stack([fake[i], train[j]]), n_columns=2, scale=scale) for i, j in pairs.tolist()
    ]
    height, width, _ = tiles[0].shape
    n_rows = -(-len(tiles) // n_columns)
    step = (width + 2 * _GAP, height + _LABEL + _GAP)
    sheet = Image.new("RGB", (n_columns * step[0] - 2 * _GAP, n_rows * step[1]), "white")
    for i, (tile, ratio) in enumerate(zip(tiles, ratios.tolist(), strict=True)):
        left, top = (i % n_columns) * step[0], (i // n_columns) * step[1]
        sheet.paste(Image.fromarray(tile), (left, top))
        _write(sheet, (left + 2, top + height + 1), f"{ratio:.2f}")
    return sheet


def save_closest_pairs(sheet: Image.Image, ratios: Tensor, file: Path) -> None:
    """Write a sheet of the closest pairs; its distances are also in the PNG's `Description`."""
    note = PngInfo()
    note.add_text("Description", ", ".join(f"{ratio:.2f}" for ratio in ratios.tolist()))
    png = io.BytesIO()
    sheet.save(png, "PNG", pnginfo=note)
    replace_file(file, png.getvalue())


def distances(file: Path) -> str:
    """Return the distances of a sheet of the closest pairs as text; nothing where it holds none."""
    with Image.open(file, formats=("PNG",)) as image:
        return str(image.info.get("Description", ""))


def _open(file: Path) -> Image.Image:
    with Image.open(file) as image:
        picture: Image.Image = image.convert("RGB")
    return picture


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT_SIZE)


def _write(sheet: Image.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(sheet).text(place, text, fill="black", font=_font())
