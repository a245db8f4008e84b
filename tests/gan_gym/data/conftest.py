from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Maker = Callable[..., list[Path]]


@pytest.fixture
def make_patches(tmp_path: Path) -> Maker:
    """Write `n` distinct images into `tmp_path / folder`."""

    def make(
        folder: str = ".",
        n: int = 6,
        size: tuple[int, int] = (24, 24),
        mode: str = "RGB",
        suffix: str = "png",
    ) -> list[Path]:
        where = tmp_path / folder
        where.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(zlib.crc32(f"{folder} {size} {mode} {suffix}".encode()))
        paths = []
        for i in range(n):
            colours = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            paths.append(where / f"{mode.replace(';', '')}{size[0]}_{i:03}.{suffix}")
            Image.fromarray(colours).convert(mode).save(paths[-1])
        return paths

    return make
