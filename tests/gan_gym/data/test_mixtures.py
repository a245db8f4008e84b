from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from gan_gym.data.mixtures import MixtureSampler

Make = Callable[..., MixtureSampler]

MIXTURES = {"grid": (MixtureSampler.grid, 25), "ring": (MixtureSampler.ring, 8)}
MIXTURE = pytest.mark.parametrize(("make", "n_modes"), MIXTURES.values(), ids=MIXTURES)
N = 2500


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@MIXTURE
def test_true_data_reach_the_ceiling(make: Make, n_modes: int) -> None:
    """98.89 % of a two-dimensional Gaussian lies within 3 standard deviations: 1 - exp(-9 / 2)."""
    mixture = make()
    shares = []
    for seed in range(10):
        modes, modes20, hq = mixture.count_modes(mixture.batch(N, _rng(seed))[None])[0]
        assert modes == modes20 == n_modes
        shares.append(hq)
    assert sum(shares) / 10 == pytest.approx(1 - math.exp(-4.5), abs=2e-3)


@MIXTURE
def test_known_point_sets(make: Make, n_modes: int) -> None:
    mixture = make()
    one = mixture.centres[3].expand(N, -1)
    assert mixture.count_modes(one[None]) == [(1, 1, 1.0)]
    between = ((mixture.centres[0] + mixture.centres[1]) / 2).expand(N, -1)
    lost = torch.full((N, 2), torch.nan)
    few = torch.cat([mixture.centres, one[: N - n_modes]])
    sets = torch.stack([between, one, lost, few])
    expected = [(0, 0, 0.0), (1, 1, 1.0), (0, 0, 0.0), (n_modes, 1, 1.0)]
    assert mixture.count_modes(sets) == expected
    assert mixture.count_modes(sets.flip(0)) == expected[::-1]
    edge = mixture.centres[:2] + torch.tensor([[2.99 * mixture.std, 0], [0, 3.01 * mixture.std]])
    assert mixture.count_modes(edge[None]) == [(1, 0, 0.5)]


def test_ring_has_eight_distinct_centres_at_equal_angles() -> None:
    ring = MixtureSampler.ring(radius=2.0).centres
    assert len(torch.unique(ring.round(decimals=4), dim=0)) == 8
    torch.testing.assert_close(ring.norm(dim=1), torch.full((8,), 2.0))
    neighbours = (ring - ring.roll(1, 0)).norm(dim=1)
    torch.testing.assert_close(neighbours, torch.full((8,), 4 * math.sin(math.pi / 8)))


def test_grid_is_the_published_one_at_spacing_two() -> None:
    published = {(float(x), float(y)) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}
    assert {tuple(centre) for centre in MixtureSampler.grid(2.0).centres.tolist()} == published


@MIXTURE
def test_batches_have_the_moments_of_the_mixture(make: Make, n_modes: int) -> None:
    mixture = make(std=0.1)
    x = mixture.batch(40_000, _rng())
    distance, mode = torch.cdist(x, mixture.centres).min(1)
    assert float(distance.square().mean() / 2) == pytest.approx(0.01, rel=0.05)
    assert (torch.bincount(mode) / len(x)).tolist() == pytest.approx([1 / n_modes] * n_modes, rel=0.15)
    assert torch.equal(mixture.batch(5, _rng(1)), mixture.batch(5, _rng(1)))
    assert not torch.equal(mixture.batch(5, _rng(1)), mixture.batch(5, _rng(2)))


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan])
def test_sizes_must_be_positive(wrong: float) -> None:
    for make, name in ((MixtureSampler.grid, "spacing"), (MixtureSampler.ring, "radius")):
        with pytest.raises(ValueError, match=name):
            make(wrong)
        with pytest.raises(ValueError, match="std"):
            make(std=wrong)


@MIXTURE
def test_modes_are_those_of_the_nearest_centres(make: Make, n_modes: int) -> None:
    mixture = make(std=0.4)  # modes that overlap
    sets = torch.stack([mixture.batch(N, _rng(seed)) * scale for seed, scale in enumerate((1.0, 0.3, 1.5))])
    for points, found in zip(sets, mixture.count_modes(sets), strict=True):
        distance, mode = torch.cdist(points.double(), mixture.centres.double()).min(1)
        good = distance < 3 * mixture.std
        counts = torch.bincount(mode[good], minlength=n_modes)
        assert found[:2] == (int((counts >= 1).sum()), int((counts >= 20).sum()))
        assert found[2] == pytest.approx(float(good.float().mean()))
