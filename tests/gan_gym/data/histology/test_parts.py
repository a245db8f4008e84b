from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gan_gym.data.histology.compartments import draw_compartments
from gan_gym.data.histology.cutting import MAX_GLASS, PURITY, balanced, pure_windows
from gan_gym.data.histology.nuclei import LYMPHOCYTE, NucleusKind
from gan_gym.data.histology.stains import EOSIN, HEMATOXYLIN, StainProfile

PLAIN = NucleusKind(4.0, 0.0, (1.0, 1.0), (1.0, 1.0), rim=0.0, chromatin=0.0, lobing=0.0)


def one(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_plain_nucleus_is_a_disc_of_its_density() -> None:
    layer = np.zeros((32, 32), np.float32)
    PLAIN.stamp(np.random.default_rng(0), layer, one(15.5), one(15.5))
    assert layer.sum() == pytest.approx(np.pi * 4**2, rel=0.03)
    assert layer.max() == 1
    np.testing.assert_allclose(layer, layer[::-1, ::-1], atol=1e-5)


def test_nucleus_lies_along_its_angle() -> None:
    layer = np.zeros((41, 41), np.float32)
    long = replace(PLAIN, elongation=(4.0, 4.0))
    long.stamp(np.random.default_rng(0), layer, one(20), one(20), one(np.pi / 2))
    rows, cols = np.nonzero(layer > 0.5)
    assert np.ptp(rows) + 1 == pytest.approx(16, abs=1)
    assert np.ptp(cols) + 1 == pytest.approx(4, abs=1)


def test_darker_of_overlapping_nuclei_wins_and_edges_are_safe() -> None:
    apart, both = np.zeros((2, 16, 16), np.float32)
    rng = np.random.default_rng(0)
    PLAIN.stamp(rng, apart, one(4), one(4))
    second = np.zeros((16, 16), np.float32)
    PLAIN.stamp(rng, second, one(8), one(6))
    PLAIN.stamp(rng, both, one(4, 8), one(4, 6))
    np.testing.assert_allclose(both, np.maximum(apart, second), atol=1e-6)
    PLAIN.stamp(rng, both, one(-3, 0, 15, 40), one(0, 15, -2, 40))
    PLAIN.stamp(rng, both, one(), one())
    assert np.isfinite(both).all()


def test_lymphocytes_are_five_pixels_across() -> None:
    layer = np.zeros((512, 512), np.float32)
    y, x = (axis.ravel().astype(np.float32) for axis in np.mgrid[16:512:16, 16:512:16])
    LYMPHOCYTE.stamp(np.random.default_rng(0), layer, y, x)
    diameter = 2 * np.sqrt((layer > 0.8).sum() / len(y) / np.pi)
    assert 4 < diameter < 6


def test_stain_follows_beer_and_lambert() -> None:
    vectors = np.array([HEMATOXYLIN, EOSIN], np.float32)
    profile = StainProfile(vectors, np.full(3, 240, np.float32), blur=0.0, noise=0.0)
    rng = np.random.default_rng(0)
    h, e = rng.uniform(0, 1.5, (2, 8, 9)).astype(np.float32)
    image = profile.develop(rng, h, e)
    expected = 240 * np.exp(-(h[..., None] * vectors[0] + e[..., None] * vectors[1]))
    np.testing.assert_allclose(image, expected, atol=0.51)
    glass = profile.develop(rng, np.zeros_like(h), np.zeros_like(e))
    assert (glass == 240).all()


def test_blur_keeps_the_amount_of_stain() -> None:
    profile = StainProfile(np.eye(2, 3, dtype=np.float32), np.full(3, 250, np.float32), blur=0.1, noise=0.0)
    dot = np.zeros((9, 9), np.float32)
    dot[4, 4] = 1
    image = profile.develop(np.random.default_rng(0), dot, np.zeros_like(dot))
    assert -np.log(image[..., 0] / 250).sum() == pytest.approx(1, abs=0.06)
    assert image[4, 4, 0] < image[4, 5, 0] < image[4, 6, 0]


def test_shares_of_all_classes_sum_to_one() -> None:
    places = draw_compartments(np.random.default_rng(0), 200, 50.0, main=2, glass=5, seam=0)
    shares = np.stack([places.share(label) for label in range(6)])
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-5)
    assert (shares >= 0).all()
    own = np.take_along_axis(shares, places.labels[None].astype(np.int64), 0)[0]
    far = (places.margin > 5) & (places.septum == 0)
    np.testing.assert_allclose(own[far], 1)


def test_windows_are_all_the_pure_ones() -> None:
    labels = draw_compartments(np.random.default_rng(1), 96, 24.0, main=1, glass=4, seam=0).labels
    expected = []
    for y in range(0, 96 - 16 + 1, 2):
        for x in range(0, 96 - 24 + 1, 2):
            share = np.bincount(labels[y : y + 16, x : x + 24].ravel(), minlength=5) / (16 * 24)
            if share[:4].max() >= PURITY and share[4] <= MAX_GLASS:
                expected.append((y, x, int(share[:4].argmax())))
    assert 0 < len(expected) < 41 * 37
    assert [tuple(window) for window in pure_windows(labels, 16, 24, 4).tolist()] == expected


def test_balanced_takes_what_there_is() -> None:
    labels = np.repeat([0, 1, 2], [50, 3, 50])
    chosen = balanced(np.random.default_rng(0), labels, 23)
    assert len(set(chosen.tolist())) == 23
    assert np.bincount(labels[chosen]).tolist() == [10, 3, 10]
