from __future__ import annotations

import math
from dataclasses import astuple
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from snn.similarity import NOTHING, ReferenceStatistics, Similarity, as_row

CENTRES = torch.cartesian_prod(torch.arange(5) - 2.0, torch.arange(5) - 2.0)


def _grid(n: int, seed: int, weights: Tensor | None = None, std: float = 0.05) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.ones(25) if weights is None else weights
    mode = torch.multinomial(weights, n, replacement=True, generator=generator)
    return CENTRES[mode] + std * torch.randn(n, 2, generator=generator)


def _uniform(n: int, seed: int, reach: float) -> Tensor:
    return reach * (2 * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed)) - 1)


def _modes(*modes: int) -> Tensor:
    return torch.zeros(25).index_fill(0, torch.tensor(modes), 1.0)


@pytest.fixture(scope="module")
def grid() -> ReferenceStatistics:
    return ReferenceStatistics(
        _grid(512, 0),
        noise_features=_uniform(1024, 1, 4.0),
        held_out_features=_grid(2048, 2),
        n_fakes=512,
    )


def test_statistics_equal_a_plain_reference() -> None:
    generator = torch.Generator().manual_seed(3)
    real, fake, noise = (torch.randn(n, 4, generator=generator) for n in (30, 20, 40))
    held_out = torch.randn(25, 4, generator=generator)
    statistics = ReferenceStatistics(real, noise_features=noise + 3, held_out_features=held_out, n_fakes=20)

    def distance(a: Tensor, b: Tensor) -> float:
        return math.dist(a.tolist(), b.tolist())

    across = [[distance(f, r) for r in real] for f in fake]
    s, c = statistics.fidelity_scale, statistics.coverage_scale
    fidelity = -sum(math.log(1 + (min(row) / s) ** 2) for row in across) / 20
    coverage = sum(1 / (1 + (min(row[j] for row in across) / c) ** 2) for j in range(30)) / 30
    among_fake = [distance(fake[i], fake[j]) for i in range(20) for j in range(20) if i != j]
    among_real = [distance(real[i], real[j]) for i in range(30) for j in range(30) if i != j]
    diversity = (sum(among_fake) / len(among_fake)) / (sum(among_real) / len(among_real))
    closeness = []
    for width in statistics.kernel_widths:
        k_fr, k_ff, k_rr = (
            sum(math.exp(-(d**2) / (2 * width**2)) for d in distances) / len(distances)
            for distances in ([d for row in across for d in row], among_fake, among_real)
        )
        mmd2 = k_ff + k_rr - 2 * k_fr
        closeness.append(1 - mmd2 / (k_ff + k_rr))
    expected = [fidelity, sum(closeness) / len(closeness), coverage, diversity]
    assert statistics.raw(fake[None])[0] == pytest.approx(expected, rel=1e-4)


def test_scales_are_those_of_held_out_data() -> None:
    real, held_out = _grid(100, 0), _grid(80, 1)
    statistics = ReferenceStatistics(
        real, noise_features=_uniform(50, 2, 4.0), held_out_features=held_out, n_fakes=80
    )
    distances = torch.cdist(held_out, real, compute_mode="donot_use_mm_for_euclid_dist")
    assert statistics.fidelity_scale == pytest.approx(float(distances.amin(1).median()), rel=0.02)
    assert statistics.coverage_scale == pytest.approx(float(distances.amin(0).median()), rel=0.02)


def test_calibration_ends(grid: ReferenceStatistics) -> None:
    held_out, noise = grid.score(_grid(512, 9)), grid.score(_uniform(512, 9, 4.0))
    for name in ("fidelity", "coverage", "kernel", "quality"):
        assert as_row(held_out)[name] > 0.94, name
        assert as_row(noise)[name] < 0.1, name
    assert held_out.diversity == pytest.approx(1, abs=0.05)


def test_scores_fall_in_the_order_of_the_failures(grid: ReferenceStatistics) -> None:
    halves = [grid.score(_grid(512, 5, _modes(*range(k)))).quality for k in (1, 3, 6, 12, 18, 22, 25)]
    assert halves == sorted(halves)
    assert all(later - earlier > 0.02 for earlier, later in pairwise(halves))
    widths = [grid.score(_grid(512, 6, std=std)).quality for std in (0.05, 0.08, 0.12, 0.2, 0.4)]
    assert widths == sorted(widths, reverse=True)
    unbalanced = [grid.score(_grid(512, 7, q ** -torch.arange(25.0))).quality for q in (1.0, 1.1, 1.2, 1.4)]
    assert unbalanced == sorted(unbalanced, reverse=True)

    one_mode, half, perfect = halves[0], halves[3], halves[-1]
    smeared = grid.score(_uniform(512, 8, 2.5)).quality
    assert max(one_mode, smeared) < half < widths[1] < perfect
    assert half < unbalanced[1] < perfect
    assert 0.4 < half < 0.8
    assert perfect > 0.95


def test_even_generators_worse_than_noise_see_progress(grid: ReferenceStatistics) -> None:
    blobs = [grid.score(_uniform(512, 4, 0.1) + distance).quality for distance in (50.0, 10.0, 5.0, 3.2)]
    assert blobs == sorted(blobs)
    assert len(set(blobs)) == 4
    assert all(0 < value < 0.06 for value in blobs)


def test_collapse_within_each_mode_is_seen(grid: ReferenceStatistics) -> None:
    collapsed, intact = grid.score(_grid(512, 3, std=0.0)), grid.score(_grid(512, 3))
    assert collapsed.fidelity > 0.95
    assert collapsed.quality < intact.quality - 0.2


def test_one_typical_point_repeated_is_no_way_to_a_high_score() -> None:
    real = torch.randn(1500, 32, generator=torch.Generator().manual_seed(0))
    real = real / real.norm(dim=1, keepdim=True) + torch.tensor([1.0] + 31 * [0.0])
    noise = -real
    statistics = ReferenceStatistics(real[:600], noise_features=noise, held_out_features=real[600:1200])
    fresh = real[1200:1328]
    best = fresh[int((fresh - real.mean(dim=0)).norm(dim=1).argmin())]
    repeated = statistics.score(
        best + 1e-3 * torch.randn(128, 32, generator=torch.Generator().manual_seed(1))
    )
    mediocre = statistics.score(fresh + 0.25)
    assert repeated.kernel > mediocre.kernel  # the trap
    assert repeated.quality < 0.1 < mediocre.quality


def test_order_of_points_does_not_matter(grid: ReferenceStatistics) -> None:
    fake = _grid(200, 11, std=0.1)
    shuffled = fake[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    assert astuple(grid.score(fake)) == pytest.approx(astuple(grid.score(shuffled)), rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_fakes_that_are_not_finite_score_nothing(grid: ReferenceStatistics, value: float) -> None:
    fake = _grid(100, 1)
    fake[3, 1] = value
    assert grid.score(fake) == NOTHING == Similarity(0, 0, 0, 0, 0)
    closeness = grid.closeness(fake)
    assert closeness[3] == 0
    assert bool((closeness[:3] > 0.5).all())


def test_closeness_is_fidelity_one_by_one(grid: ReferenceStatistics) -> None:
    near, far = grid.closeness(_grid(300, 2)), grid.closeness(_uniform(300, 2, 4.0))
    assert near.shape == (300,)
    assert bool(((near >= 0) & (near <= 1)).all())
    assert near.mean() > 0.8
    assert far.mean() < 0.25


def test_half_of_the_references_calibrate_where_nothing_is_held_out() -> None:
    statistics = ReferenceStatistics(_grid(600, 0), noise_features=_uniform(300, 1, 4.0), n_fakes=100)
    assert len(statistics.real) == 400
    assert statistics.score(_grid(100, 5)).quality > 0.9


def test_bad_features_are_refused() -> None:
    real, noise = _grid(50, 0), _uniform(50, 0, 4.0)
    with pytest.raises(ValueError, match="noise_features has shape"):
        ReferenceStatistics(real, noise_features=torch.zeros(9, 3))
    with pytest.raises(ValueError, match="real_features holds values that are not finite"):
        ReferenceStatistics(real / 0, noise_features=noise)
    with pytest.raises(ValueError, match="n_fakes=1"):
        ReferenceStatistics(real, noise_features=noise, n_fakes=1)
    statistics = ReferenceStatistics(real, noise_features=noise, n_fakes=20)
    with pytest.raises(ValueError, match="N >= 2"):
        statistics.score(real[:1])


def test_equal_seeds_give_equal_scales_and_no_global_draw() -> None:
    state = torch.get_rng_state()
    real, noise = _grid(200, 0), _uniform(200, 0, 4.0)
    scores = [
        ReferenceStatistics(real, noise_features=noise, n_fakes=50, seed=seed).score(noise[:60])
        for seed in (1, 1, 2)
    ]
    assert scores[0] == scores[1] != scores[2]
    assert torch.equal(state, torch.get_rng_state())


@pytest.fixture(scope="module")
def embedding() -> ReferenceStatistics:
    real = torch.randn(900, 24, generator=torch.Generator().manual_seed(0))
    return ReferenceStatistics(real[:500], noise_features=3 * real + 1, held_out_features=real[500:])


def _sets(reference: ReferenceStatistics, n_points: int) -> Tensor:
    """Return seven sets of fakes, from good to far off and all the same."""
    dim = reference.real.shape[1]
    noise = torch.randn(7, n_points, dim, generator=torch.Generator().manual_seed(4))
    index = torch.randint(len(reference.real), (7, n_points), generator=torch.Generator().manual_seed(5))
    widths = torch.tensor([0.0, 0.02, 0.05, 0.1, 0.5, 3.0, 0.0]).view(7, 1, 1)
    sets = reference.real[index] + widths * noise
    sets[6] = sets[6, 0] + 40
    return sets


@pytest.mark.parametrize("name", ["grid", "embedding"])
@pytest.mark.parametrize("n_points", [3, 60, 401])
def test_sets_scored_together_score_as_alone(
    name: str, n_points: int, request: pytest.FixtureRequest
) -> None:
    reference = request.getfixturevalue(name)
    sets = _sets(reference, n_points)
    together, alone = reference.score_many(sets), [reference.score(fakes) for fakes in sets]
    assert len({score.quality for score in together}) > 3
    for one, other in zip(together, alone, strict=True):
        assert astuple(one) == pytest.approx(astuple(other), abs=1e-5)
    order = [3, 0, 6, 2, 5, 1, 4]
    for score, i in zip(reference.score_many(sets[order]), order, strict=True):
        assert astuple(score) == pytest.approx(astuple(together[i]), abs=1e-5)


@pytest.mark.parametrize("name", ["grid", "embedding"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_set_that_is_not_finite_leaves_the_others_alone(
    name: str, value: float, request: pytest.FixtureRequest
) -> None:
    reference = request.getfixturevalue(name)
    sets = _sets(reference, 50)
    intact = reference.score_many(sets)
    sets[2, 7, 1] = value
    broken = reference.score_many(sets)
    assert broken[2] == NOTHING
    assert broken[:2] + broken[3:] == intact[:2] + intact[3:]


def test_scoring_leaves_the_fakes_as_they_were(grid: ReferenceStatistics) -> None:
    fakes = _sets(grid, 50).requires_grad_()
    before = fakes.detach().clone()
    grid.score_many(fakes)
    assert torch.equal(fakes, before)
