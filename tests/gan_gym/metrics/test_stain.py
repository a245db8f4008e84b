"""Colour deconvolution gives back what patches were mixed from; what is no H&E is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_gym.data.tissue import tissue_patches
from gan_gym.metrics import stain
from gan_gym.metrics.stain import STAINS, mean_densities, stain_densities, why_not_stained

PUBLISHED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])


def mixed(haematoxylin: np.ndarray, eosin: np.ndarray) -> torch.Tensor:
    """Patches of given densities `(N, H, W)` by the law of Beer and Lambert."""
    colours = PUBLISHED / np.linalg.norm(PUBLISHED, axis=1, keepdims=True)
    density = haematoxylin[:, None] * colours[0][:, None, None] + eosin[:, None] * colours[1][:, None, None]
    return torch.from_numpy(np.round(255 * 10**-density).astype(np.uint8))


def amounts(n: int, seed: int, mean: float) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(mean, 0.1, size=(n, 1, 1))) * np.ones((n, 8, 8))


def test_mixtures_are_taken_apart_again():
    h, e = amounts(20, 0, 0.5), amounts(20, 1, 0.3)
    found = stain_densities(mixed(h, e))
    np.testing.assert_allclose(found[:, 0].numpy(), h, atol=0.01)
    np.testing.assert_allclose(found[:, 1].numpy(), e, atol=0.01)
    np.testing.assert_allclose(mean_densities(mixed(h, e)), np.stack([h, e], 1).mean((2, 3)), atol=0.01)


def test_the_stains_are_the_published_ones():
    np.testing.assert_allclose(STAINS / STAINS[:, :1], PUBLISHED / PUBLISHED[:, :1], rtol=1e-5)


def test_a_change_of_one_stain_shows_in_its_figure_alone():
    h, e = amounts(80, 0, 0.5), amounts(80, 1, 0.3)
    real, fake = mixed(h, e), mixed(h + 0.2, e)
    figures = stain(real, fake)
    assert figures["stain_hematoxylin"].value == pytest.approx(0.2 / h[:, 0, 0].std(), rel=0.05)
    assert figures["stain_eosin"].value < 0.1
    shown = figures["stain_hematoxylin"].to_json()
    assert shown["mean_fake"] - shown["mean_real"] == pytest.approx(0.2, abs=0.01)
    assert shown["unit"] == "OD"


def test_tissue_is_accepted():
    tissue = tissue_patches(8, (32, 32), 0).images
    assert why_not_stained(tissue, "real") is None
    half_blank = torch.cat([tissue, torch.full_like(tissue, 250)])
    assert why_not_stained(half_blank, "real") is None


@pytest.mark.parametrize("only", [(0.6, 0.0), (0.0, 0.6), (1.5, 1.0), (0.1, 0.05)])
def test_every_mixture_of_the_two_stains_is_accepted(only: tuple[float, float]):
    h, e = (np.full((30, 8, 8), density) for density in only)
    assert why_not_stained(mixed(h, e), "real") is None


def noise(n: int = 40) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (noise(), "do not look like H&E"),
        (noise()[:, :1].repeat(1, 3, 1, 1), "do not look like H&E"),
        (mixed(amounts(40, 0, 0.5), amounts(40, 1, 0.3))[:, [1, 0, 2]], "do not look like H&E"),
        (255 - mixed(amounts(40, 0, 0.5), amounts(40, 1, 0.3)), "do not look like H&E"),
        (torch.zeros(40, 3, 8, 8, dtype=torch.uint8), "do not look like H&E"),
        (torch.full((40, 3, 8, 8), 255, dtype=torch.uint8), "almost blank"),
    ],
)
def test_what_is_no_h_and_e_is_refused_with_the_side_that_is_not(images: torch.Tensor, words: str):
    reason = why_not_stained(images, "generated")
    assert reason is not None
    assert words in reason
    assert "the generated patches" in reason
    assert "\n" not in reason
