from __future__ import annotations

import pytest
import torch

import snn.distances
from snn.distances import measure, squared_distances

WIDTHS = (0.5, 1.0, 3.0)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("n_fakes", [2, 5, 8])
def test_measures_equal_a_plain_reference(dim: int, n_fakes: int) -> None:
    generator = torch.Generator().manual_seed(dim)
    fakes, real = (torch.randn(*shape, dim, generator=generator) for shape in ((3, n_fakes), (11,)))
    measured = measure(fakes, real, WIDTHS)
    across = (fakes[:, :, None] - real).square().sum(3)
    torch.testing.assert_close(measured.nearest_real, across.amin(2))
    torch.testing.assert_close(measured.nearest_fake, across.amin(1))
    first, second = torch.triu_indices(n_fakes, n_fakes, 1)
    among = (fakes[:, first] - fakes[:, second]).square().sum(2)
    torch.testing.assert_close(measured.spread, among.sqrt().mean(1))
    for i, width in enumerate(WIDTHS):
        for squared, means in (
            (across.flatten(1), measured.kernels_across),
            (among, measured.kernels_among),
        ):
            torch.testing.assert_close(means[:, i], torch.exp(-squared / (2 * width**2)).mean(1))


def test_points_far_from_the_origin_lose_no_digits_in_the_plane() -> None:
    x, y = (torch.rand(30, 2, generator=torch.Generator().manual_seed(i)) / 64 + 64 for i in (0, 1))
    exact = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    torch.testing.assert_close(squared_distances(x, y), exact.float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("dim", [2, 20])
def test_how_many_are_held_at_a_time_does_not_matter(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    fakes, real = (torch.randn(*shape, dim, generator=generator) for shape in ((5, 9), (7,)))
    whole = measure(fakes, real, WIDTHS)
    for cached in (1, 2 * 81, 4 * 81):
        monkeypatch.setattr(snn.distances, "_CACHED", cached)
        for name, tensor in vars(measure(fakes, real, WIDTHS)).items():
            torch.testing.assert_close(tensor, getattr(whole, name))
