from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_gym.data.overviews import slide_overview
from gan_gym.data.slides import opened_slide
from gan_gym.data.tissue_mask import otsu, slide_tissue

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]
REAL = os.environ.get("GAN_GYM_DATA")


def agreement(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_otsus(seed: int) -> None:
    """Otsu's definition: of all thresholds, the one with the least variance within the two groups."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0.1, 0.03, 3000), rng.normal(0.5, 0.1, 1000)]).clip(0, 1)
    thresholds = np.linspace(0.05, 0.6, 500)
    within = [
        (values < t).sum() * values[values < t].var() + (values >= t).sum() * values[values >= t].var()
        for t in thresholds
    ]
    assert abs(otsu(values) - thresholds[np.argmin(within)]) < 2 / 256


def test_there_is_no_threshold_without_two_values() -> None:
    assert otsu(np.empty(0)) == 0
    assert otsu(np.full(9, 0.3)) == 0


@pytest.mark.parametrize("tint", [(255, 255, 255), (243, 241, 244), (235, 228, 236), (240, 236, 224)])
def test_drawn_tissue_is_found(draw_slide: Draw, tint: tuple[int, int, int]) -> None:
    pixels, truth = draw_slide(size=(512, 640))
    glass = np.where(truth[:, :, None], pixels, np.array(tint, np.uint8))
    noisy = glass + np.random.default_rng(1).normal(0, 2, glass.shape)
    assert agreement(slide_tissue(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))), truth) > 0.97


def test_glass_alone_is_no_tissue(draw_slide: Draw) -> None:
    pixels, _ = draw_slide(size=(512, 640), radius=0)
    noisy = (pixels + np.random.default_rng(1).normal(0, 2, pixels.shape)).clip(0, 255).astype(np.uint8)
    assert not slide_tissue(Image.fromarray(noisy)).any()


def test_tissue_to_the_edges_is_all_tissue(draw_slide: Draw) -> None:
    """Otsu's threshold alone would part pink from purple."""
    pixels, _ = draw_slide(size=(512, 640), radius=9)
    assert slide_tissue(Image.fromarray(pixels)).mean() > 0.99


def test_dust_goes_small_holes_close_and_large_ones_stay(draw_slide: Draw) -> None:
    pixels, truth = draw_slide(size=(512, 640))
    y, x = np.ogrid[:512, :640]
    dust = (y - 30) ** 2 + (x - 30) ** 2 < 3**2
    pixels[dust] = (150, 40, 120)
    hole = (y - 256) ** 2 + (x - 320) ** 2 < 40**2
    pixels[hole] = 244
    pixels[200:203, 250:253] = 244
    mask = slide_tissue(Image.fromarray(pixels))
    assert not mask[:60, :60].any()
    assert mask[195:208, 245:258].all()
    assert not mask[240:270, 305:335].any()
    assert agreement(mask, truth & ~hole) > 0.97


def test_black_padding_is_no_tissue(draw_slide: Draw) -> None:
    pixels, _ = draw_slide(size=(512, 640))
    pixels[:, :100] = (6, 0, 2)
    assert not slide_tissue(Image.fromarray(pixels))[:, :98].any()


@pytest.mark.skipif(
    REAL is None, reason="set GAN_GYM_DATA to the folder with cmu_small_region to test on a real slide"
)
def test_a_real_slide() -> None:
    """By eye, a third of it is tissue; corners and the space between the strips are glass."""
    with opened_slide(Path(REAL or "", "cmu_small_region/slide/CMU-1-Small-Region.svs")) as slide:
        mask = slide_tissue(slide_overview(slide))
    assert mask.shape == (1024, 766)
    assert 0.3 < mask.mean() < 0.4
    assert mask[650:1000, 330:400].mean() > 0.9
    assert not mask[400:1000, :150].any()
