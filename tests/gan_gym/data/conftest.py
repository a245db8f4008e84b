from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

Maker = Callable[..., list[Path]]
GLASS = (243, 241, 244)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep overviews of drawn slides out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def draw_slide() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Draw a disc of tissue on glass: pixels `(H, W, 3)` uint8 and where the tissue is, `(H, W)` bool."""

    def draw(
        seed: int = 0, size: tuple[int, int] = (1024, 1280), radius: float = 0.4
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y, x = np.ogrid[: size[0], : size[1]]
        truth = (y - size[0] / 2) ** 2 + (x - size[1] / 2) ** 2 < (radius * min(size)) ** 2
        coarse = rng.integers((150, 60, 120), (230, 140, 200), (size[0] // 16, size[1] // 16, 3))
        stained = np.asarray(
            Image.fromarray(coarse.astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        )
        pixels = np.where(truth[:, :, None], stained, np.array(GLASS)) + rng.integers(-2, 3, (*size, 1))
        return pixels.clip(0, 255).astype(np.uint8), truth

    return draw


@pytest.fixture
def write_slide() -> Callable[..., Path]:
    """Write pixels as a TIFF in tiles with a level for each factor; `mpp` goes into the resolution tags."""

    def write(
        path: Path,
        pixels: np.ndarray,
        *,
        mpp: float | None = 0.5,
        factors: tuple[int, ...] = (4,),
        description: str | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        resolution = (1, 1) if mpp is None else (10_000 / mpp, 10_000 / mpp)
        with tifffile.TiffWriter(path) as tiff:
            for factor in (1, *factors):
                level = np.asarray(Image.fromarray(pixels).reduce(factor))
                tiff.write(
                    level,
                    tile=(128, 128),
                    photometric="rgb",
                    metadata=None,
                    subfiletype=int(factor > 1),
                    resolution=(resolution[0] / factor, resolution[1] / factor),
                    resolutionunit="NONE" if mpp is None else "CENTIMETER",
                    description=description if factor == 1 else None,
                )
        return path

    return write


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
