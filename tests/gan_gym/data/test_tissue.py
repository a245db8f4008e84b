from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from gan_gym.data.patches import PatchSet
from gan_gym.data.tissue import BACKGROUND, TISSUE_CLASSES, Region, render_region, tissue_patches

FIELDS = ("images", "labels", "groups", "regions", "region_labels", "region_groups")


@pytest.fixture(scope="module")
def patches() -> PatchSet:
    return tissue_patches()


@pytest.fixture(scope="module")
def region() -> Region:
    return render_region(0)


def optical_density(image: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(image.reshape(-1, 3), 1) / 255)


def test_region_has_the_promised_form(region: Region) -> None:
    assert region.image.shape == (512, 512, 3)
    assert region.image.dtype == np.uint8
    assert region.labels.shape == (512, 512)
    assert set(np.unique(region.labels)) <= {*range(BACKGROUND + 1)}
    assert len(np.unique(region.labels)) >= 6
    assert render_region(3, size=96).image.shape == (96, 96, 3)


def test_region_is_a_function_of_its_seed() -> None:
    one, same, other = render_region(5, 128), render_region(5, 128), render_region(6, 128)
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert not np.array_equal(one.image, other.image)
    assert not np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("main", range(len(TISSUE_CLASSES)))
def test_main_class_dominates(main: int) -> None:
    counts = sum(np.bincount(render_region(s, 256, main).labels.ravel(), minlength=9) for s in range(3))
    assert int(np.argmax(counts)) == main


def test_patches_have_the_promised_form(patches: PatchSet) -> None:
    assert len(patches) == 2048
    assert patches.images.shape == (2048, 3, 32, 32)
    assert patches.images.dtype == torch.uint8
    assert patches.images.is_contiguous()
    assert patches.labels.dtype == patches.groups.dtype == torch.int64
    assert patches.classes == TISSUE_CLASSES
    assert patches.regions is not None
    assert patches.regions.shape == (24, 3, 32, 32)
    assert patches.regions.dtype == torch.uint8
    assert patches.region_labels is not None
    assert patches.region_labels.dtype == torch.int64
    assert patches.region_groups is not None
    assert torch.equal(patches.region_groups, torch.unique(patches.groups))
    held_out = patches.split(0.2, seed=0)[1]
    assert 0.1 < len(held_out) / len(patches) < 0.3


def test_classes_are_balanced_and_met_in_many_regions(patches: PatchSet) -> None:
    counts = torch.bincount(patches.labels, minlength=len(TISSUE_CLASSES))
    assert counts.min() >= 0.8 * counts.max()
    for label in range(len(TISSUE_CLASSES)):
        assert len(torch.unique(patches.groups[patches.labels == label])) >= 12
    assert patches.region_labels is not None
    assert len(torch.unique(patches.region_labels)) == len(TISSUE_CLASSES)


def test_no_two_patches_are_the_same(patches: PatchSet) -> None:
    assert len(torch.unique(patches.images.flatten(1), dim=0)) == len(patches)


def test_few_patches_are_balanced_too() -> None:
    counts = torch.bincount(tissue_patches(20, 32, n_regions=8).labels, minlength=len(TISSUE_CLASSES))
    assert sorted(counts.tolist()) == [2, 2, 2, 2, 3, 3, 3, 3]


def test_labels_are_the_majority_of_the_region_map(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Region] = []

    def recorded(*args: int) -> Region:
        drawn.append(render_region(*args))
        return drawn[-1]

    monkeypatch.setattr("gan_gym.data.tissue.render_region", recorded)
    patches = tissue_patches(24, (32, 48), seed=2, n_regions=2)
    assert len(drawn) == 2
    for image, label, group in zip(patches.images, patches.labels, patches.groups, strict=True):
        region = drawn[int(group)]
        cut = image.permute(1, 2, 0).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(region.image, (32, 48, 3))[:, :, 0]
        corner = np.argwhere((windows[:, :, 0, 0] == cut[0, 0]).all(-1))
        found = [(y, x) for y, x in corner if np.array_equal(windows[y, x], cut)]
        assert len(found) == 1
        y, x = found[0]
        shares = np.bincount(region.labels[y : y + 32, x : x + 48].ravel(), minlength=BACKGROUND + 1) / (
            32 * 48
        )
        assert shares[int(label)] >= 0.6
        assert shares[BACKGROUND] <= 0.25


def test_regions_are_area_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Region] = []

    def recorded(*args: int) -> Region:
        drawn.append(render_region(*args))
        return drawn[-1]

    monkeypatch.setattr("gan_gym.data.tissue.render_region", recorded)
    patches = tissue_patches(8, 32, n_regions=1)
    averaged = drawn[0].image.reshape(32, 10, 32, 10, 3).mean((1, 3))
    assert patches.regions is not None
    np.testing.assert_allclose(patches.regions[0].permute(1, 2, 0), averaged, atol=0.51)
    tissue = np.bincount(drawn[0].labels.ravel(), minlength=BACKGROUND + 1)[:BACKGROUND]
    assert patches.region_labels is not None
    assert int(patches.region_labels[0]) == int(tissue.argmax())


def test_patches_are_a_function_of_the_seed() -> None:
    one, same, other = (tissue_patches(64, 32, seed, n_regions=3) for seed in (1, 1, 2))
    for name in FIELDS:
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.images, other.images)


def test_global_generators_are_left_alone() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    tissue_patches(16, 32, n_regions=2)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("image_size", [(24, 40), (40, 24), 16, 64])
def test_any_shape_of_patch(image_size: int | tuple[int, int]) -> None:
    patches = tissue_patches(16, image_size, n_regions=2)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    assert patches.image_size == (height, width)
    assert patches.regions is not None
    assert patches.regions.shape == (2, 3, height, width)


def test_colours_are_those_of_hematoxylin_and_eosin(patches: PatchSet) -> None:
    mean = patches.images.float().mean((0, 2, 3))
    assert mean[0] > mean[1] + 20
    assert mean[2] > mean[1] + 20
    assert patches.regions is not None
    for red, green, blue in patches.regions.float().mean((2, 3)):
        assert green < red
        assert green < blue
    for seed in range(4):
        density = optical_density(render_region(seed, 256).image)
        stained = density[density.sum(1) > 0.3]
        # Two stains: two components explain the optical densities (rank 2, as in Macenko et al. 2009).
        values = np.linalg.eigvalsh(stained.T @ stained)
        assert values[0] < 0.02 * values.sum()
        assert 0.15 < density.mean() < 0.9


def test_nuclei_are_dark_and_blue_and_eosin_is_pink(region: Region) -> None:
    lymphocytes, muscle, fat = (
        region.image[region.labels == TISSUE_CLASSES.index(name)].astype(float).mean(0)
        for name in ("lymphocytes", "muscle", "fat")
    )
    assert fat.mean() > muscle.mean() > lymphocytes.mean()
    assert lymphocytes[2] > lymphocytes[0]
    assert muscle[0] > muscle[2] > muscle[1]


def test_stains_differ_between_slides(patches: PatchSet) -> None:
    for label in range(len(TISSUE_CLASSES)):
        of_class = patches.labels == label
        means = torch.stack(
            [
                patches.images[of_class & (patches.groups == group)].float().mean((0, 2, 3))
                for group in torch.unique(patches.groups[of_class])
            ]
        )
        assert means.std(0).max() > 4


def test_classes_differ_in_more_than_colour(patches: PatchSet) -> None:
    rest, held_out = patches.split(0.3, seed=1)

    def nearest_centroid(describe: object) -> float:
        assert callable(describe)
        known, asked = describe(rest.images), describe(held_out.images)
        scale = known.std(0)
        centroids = torch.stack([known[rest.labels == c].mean(0) for c in range(len(TISSUE_CLASSES))])
        guess = torch.cdist(asked / scale, centroids / scale).argmin(1)
        return float((guess == held_out.labels).float().mean())

    def colour(images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((2, 3))

    def texture(images: torch.Tensor) -> torch.Tensor:
        grey = images.float().mean(1)
        edges = torch.stack([grey.diff(dim=1).abs().mean((1, 2)), grey.diff(dim=1).abs().std((1, 2))], 1)
        levels = torch.quantile(images.float().flatten(2), torch.tensor([0.1, 0.5, 0.9]), dim=2)
        return torch.cat([edges, levels.permute(1, 0, 2).flatten(1)], 1)

    assert nearest_centroid(colour) < nearest_centroid(texture)
    assert nearest_centroid(texture) > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_patches": 0}, "n_patches=0"),
        ({"n_patches": 2.5}, "n_patches=2.5"),
        ({"seed": -1}, "seed=-1"),
        ({"n_regions": 0}, "n_regions=0"),
        ({"n_regions": True}, "n_regions=True"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": 30}, "nearest"),
        ({"image_size": (32, 1024)}, "512"),
        ({"image_size": (32, 32, 3)}, "image_size"),
        ({"n_patches": 100_000, "n_regions": 1}, "raise n_regions"),
    ],
)
def test_bad_arguments_of_patches(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tissue_patches(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0, "size": 8}, "size=8"),
        ({"seed": 0, "size": 10**6}, "size=1000000"),
        ({"seed": 0, "main_class": BACKGROUND}, "main_class=8"),
        ({"seed": 0, "compartment": 1}, "compartment=1"),
    ],
)
def test_bad_arguments_of_regions(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render_region(**arguments)
