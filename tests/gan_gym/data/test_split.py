"""No slide, region or patient is ever on both sides of a split."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_gym.data.groups import group_of
from gan_gym.data.loading import load_patches
from gan_gym.data.patches import held_out_groups

Write = Callable[..., Path]
SIDE = 512

patients = st.sampled_from(["patient_1", "patient_2", "TCGA-A2-A0CM", "TCGA-A2-A0CN", "slide-3", "a", "b"])
folders = st.sampled_from(["", "tumor/", "normal/"])
kinds = st.sampled_from(["slides", "regions", "patches"])


@given(
    kind=kinds,
    images=st.lists(st.tuples(folders, patients), min_size=1, max_size=6),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_on_both_sides(
    write_slide: Write, kind: str, images: list[tuple[str, str]], fraction: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    side = 16 if kind == "patches" else SIDE
    origin: dict[bytes, str] = {}  # the hue of an image says where it comes from
    with tempfile.TemporaryDirectory() as folder:
        for i, (where, patient) in enumerate(images):
            colour = np.array([250 - i, 40, 100 + 10 * i], np.uint8)
            origin[colour.tobytes()] = patient if len(patient) > 1 else f"{where}{patient}_{i}"
            pixels = np.broadcast_to(colour, (side, side, 3)).copy()
            path = Path(folder, where, f"{patient}_{i}.tif" if kind == "slides" else f"{patient}_{i}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "slides":
                write_slide(path, pixels, factors=(4,))
            else:
                Image.fromarray(pixels).save(path)
        loaded = load_patches(
            folder, 16 if kind == "patches" else 128, min_patches=1, max_patches=60, seed=seed
        )
    patches = loaded.patches
    assert loaded.report.kind == kind
    assert loaded.report.n_images == len(images)
    n_groups = len({group_of(name) for name in origin.values()})
    assert loaded.report.n_groups == n_groups
    if n_groups == 1:
        with pytest.raises(ValueError, match="one group"):
            patches.split(fraction, seed)
        return
    sides = patches.split(fraction, int(rng.integers(2**31)))
    assert sum(len(side) for side in sides) == len(patches)
    assert all(len(side) for side in sides)
    seen = []
    for part in sides:
        colours = [image[:, 0, 0] for image in part.images]
        if part.regions is not None:
            assert kind != "patches"
            assert part.region_groups is not None
            assert set(part.region_groups.tolist()) == set(part.groups.tolist())
            colours += [region[:, 0, 0] for region in part.regions]
        seen.append({origin[colour.numpy().tobytes()] for colour in torch.stack(colours)})
    assert not seen[0] & seen[1]


def _groups(sizes: list[int]) -> torch.Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def _plain_walk(groups: torch.Tensor, fraction: float, seed: int) -> torch.Tensor:
    """Take groups in random order until the share is reached, however large they are."""
    found = torch.unique(groups)
    order = found[torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))]
    counts = torch.stack([(groups == group).sum() for group in order]).cumsum(0)
    n_held = int((counts < fraction * len(groups)).sum()) + 1
    return torch.isin(groups, order[: min(n_held, len(found) - 1)])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.7, 0.999])
@pytest.mark.parametrize("sizes", [[1] * 40, [3] * 50, [1, 2, 3, 4] * 30])
def test_small_groups_are_taken_in_random_order(sizes: list[int], fraction: float) -> None:
    groups = _groups(sizes)
    for seed in range(8):
        assert torch.equal(held_out_groups(groups, fraction, seed), _plain_walk(groups, fraction, seed))


@pytest.mark.parametrize(
    ("sizes", "fraction", "held"),
    [
        ([900, 100], 0.2, {100}),  # the large one would be 4.5 times what is wanted
        ([1000, 100, 100], 0.2, {200}),
        ([100, 100, 100, 2000], 0.2, {300}),
        ([100, 100, 100, 2000], 0.01, {100}),  # nothing fits: the smallest
        ([70, 60, 50], 0.1, {50}),
        ([5, 5], 0.2, {5}),
        ([100] * 4, 0.3, {100}),
        ([300, 100, 100, 100, 100], 0.4, {300, 400}),  # a group that fits is taken where the walk meets it
    ],
)
def test_a_large_group_is_passed_over(sizes: list[int], fraction: float, held: set[int]) -> None:
    groups = _groups(sizes)
    masks = [held_out_groups(groups, fraction, seed) for seed in range(20)]
    assert {int(mask.sum()) for mask in masks} == held
    for mask in masks:
        assert not set(groups[mask].tolist()) & set(groups[~mask].tolist())
