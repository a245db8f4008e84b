from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import t as student

from benchmarks import goodhart, similarity, similarity_sets
from benchmarks.disturbances import DISTURBANCES
from benchmarks.similarity_models import MODELS
from benchmarks.similarity_sets import load_set, split_set
from benchmarks.statistics import mean_interval
from snn import ReferenceStatistics


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity_sets, "N_EMBEDDED", 300)
    monkeypatch.setattr(similarity_sets, "N_SLIDES", 10)


def idc_folder(folder: Path, cells: dict[tuple[int, int, int], int]) -> Path:
    """Write flat patches whose grey is their number: `{(patient, column, row): class}`."""
    for number, ((patient, column, row), label) in enumerate(cells.items()):
        name = f"{patient}_idx5_x{50 * column + 1}_y{50 * row + 1}_class{label}.png"
        file = folder / ("idc" if label else "non_idc") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 50), (10 * number,) * 3).save(file)
    return folder


def test_regions_are_reassembled_where_half_of_a_window_is_there(tmp_path: Path) -> None:
    cells = {
        (7, 3, 4): 1,
        (7, 4, 4): 1,
        (7, 3, 5): 1,
        (7, 4, 5): 0,
        (7, 20, 20): 1,
        (8, 3, 5): 0,
        (8, 4, 6): 0,
    }
    patches = load_set(str(idc_folder(tmp_path, cells)), 32)
    assert patches.classes == ("idc", "non_idc")
    assert patches.regions is not None
    assert patches.region_groups is not None
    assert patches.region_labels is not None
    assert len(patches.regions) == 2  # the patch at 20, 20 has no neighbour
    corners = patches.regions[:, 0, [4, 4, 27, 27], [4, 27, 4, 27]].tolist()
    assert corners == [[0, 10, 20, 30], [50, 50, 60, 60]]  # a missing cell mirrors its neighbour in the row
    assert patches.region_labels.tolist() == [0, 1]
    of = {
        int(image[0, 0, 0]): int(group) for image, group in zip(patches.images, patches.groups, strict=True)
    }
    assert patches.region_groups.tolist() == [of[0], of[50]]


def test_no_patient_is_on_both_sides(tmp_path: Path) -> None:
    cells = {
        (patient, column, row): patient % 2 for patient in range(12) for column in (0, 1) for row in (0, 1)
    }
    patches = load_set(str(idc_folder(tmp_path, cells)), 32)
    for seed in range(5):
        split = split_set(patches, seed, 30, 30)
        own, other = set(split.train.groups.tolist()), set(split.test.groups.tolist())
        assert own
        assert other
        assert not own & other
        assert split.train.region_groups is not None
        assert set(split.train.region_groups.tolist()) <= own


def test_interval_is_students() -> None:
    values = [0.9, 0.92, 0.97, 0.91, 0.95]
    middle, low, high = mean_interval(values)
    low_expected, high_expected = student.interval(
        0.95, 4, loc=np.mean(values), scale=np.std(values, ddof=1) / 5**0.5
    )
    assert (middle, low, high) == pytest.approx((np.mean(values), low_expected, high_expected))
    assert mean_interval([0.5]) == [0.5, 0.5, 0.5]


@pytest.mark.usefixtures("small")
def test_table_holds_every_model_and_an_interrupted_call_is_continued(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--image_size", "16", "--quick"]
    assert similarity.main([*arguments, "--models", "pixels"]) == 0
    first = (tmp_path / "results.jsonl").read_text()
    assert similarity.main([*arguments, "--models", "pixels", "random_weights", "fast"]) == 0
    assert (tmp_path / "results.jsonl").read_text().startswith(first)
    summary: dict[str, Any] = json.loads((tmp_path / "similarity.json").read_text())["embedded"]
    assert set(summary) == {"pixels", "random_weights", "fast"}
    for entry in summary.values():
        value, low, high = entry["auc"]
        assert 0 <= low <= value <= high <= 1
        assert 0 <= entry["recall1"][0] <= 1
        assert set(entry["disturbance"]) == set(DISTURBANCES) - {"foreign_tissue"}
        assert all(-1 <= value <= 1 for value in entry["disturbance"].values())
    difference = summary["fast"]["auc"][0] - summary["pixels"]["auc"][0]
    assert summary["fast"]["paired"]["pixels"][0] == pytest.approx(difference)
    assert "| fast |" in (tmp_path / "table.md").read_text()
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 1000


def test_unknown_model_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert similarity.main(["--out", str(tmp_path), "--models", "fats"]) == 2
    error = capsys.readouterr().err
    assert "'fats'" in error
    assert "fast" in error


def test_every_promised_model_is_there() -> None:
    assert {"paper", "fast", "standard", "frozen_imagenet", "pixels", "random_weights"} <= set(MODELS)


def test_what_is_climbed_is_what_is_scored() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(300, 4, generator=generator), 0.5 + torch.randn(64, 4, generator=generator)
    reference = ReferenceStatistics(real, noise_features=real + 9, n_fakes=64)
    ((fidelity, kernel, coverage, _),) = reference.raw(fake[None])
    assert float(goodhart.soft_quality(reference, fake)) == pytest.approx(fidelity + kernel + coverage, 1e-4)


@pytest.mark.usefixtures("small")
def test_attack_names_who_was_fooled(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--quick", "--model", "frozen_imagenet", "--gan_steps", "20"]
    assert goodhart.main(arguments) == 0
    rows = json.loads((tmp_path / "goodhart.json").read_text())["embedded"]
    assert rows["real"]["quality"] > 0.8
    assert rows["best patch repeated"]["quality"] < 0.5
    for row in rows.values():
        assert not row["fooled"] or row["worse_by_the_judge"]
    assert (tmp_path / "samples_embedded.png").is_file()
