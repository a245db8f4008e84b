"""A folder of slides through the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

import agents.fitting
from gan_gym.data.patches import PatchSet


@pytest.fixture
def slide_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three slides of two patients: coloured noise in a frame of glass; one does not say its resolution."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, rng = tmp_path / "slides", np.random.default_rng(0)
    folder.mkdir()
    for i, name in enumerate(("patient_1_a.tif", "patient_1_b.tif", "patient_2.tif")):
        pixels = np.full((768, 768, 3), 244, np.uint8)
        pixels[128:640, 128:640] = rng.integers((150, 60, 120), (230, 140, 200), (512, 512, 3))
        known = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"} if i else {}
        with tifffile.TiffWriter(folder / name) as tiff:
            for factor in (1, 4):
                level = np.asarray(Image.fromarray(pixels).reduce(factor))
                tiff.write(
                    level,
                    tile=(128, 128),
                    photometric="rgb",
                    metadata=None,
                    subfiletype=int(factor > 1),
                    **known,
                )
    return folder


def test_check_data_describes_the_slides(gan_gym_command, slide_folder, capsys) -> None:
    assert gan_gym_command("check-data", slide_folder, "--image_size", 64) == 0
    shown = capsys.readouterr().out
    assert "slides, 3 of 3 images usable, 192 patches from 2 slides, regions or patients" in shown
    assert "    patient_1_a.tif: generic-tiff, 768x768 px, no resolution of its own, 2 levels" in shown
    assert "    patient_2.tif: generic-tiff, 768x768 px, 0.5 µm/px, 2 levels" in shown
    assert "note: 1 of 3 slides do not say their resolution, such as patient_1_a.tif" in shown
    flags = ["--image_size", 64, "--mpp", 1, "--slide_mpp", 1]
    assert gan_gym_command("check-data", slide_folder, *flags) == 0
    shown = capsys.readouterr().out
    assert "96 patches" in shown  # 64 where a pixel is 1 µm, 16 where two are
    assert "note" not in shown


def test_only_the_first_slides_are_described(gan_gym_command, slide_folder, capsys, monkeypatch) -> None:
    monkeypatch.setattr("agents.checking.SHOWN_SLIDES", 1)
    assert gan_gym_command("check-data", slide_folder) == 0
    shown = capsys.readouterr().out
    assert "patient_1_b.tif" not in shown
    assert "    and 2 more slides" in shown


@pytest.mark.parametrize("command", ["check-data", "train", "fit-snn"])
@pytest.mark.parametrize(("flag", "value"), [("--mpp", "0"), ("--slide_mpp", "-1"), ("--slide_mpp", ".inf")])
def test_a_wrong_resolution_is_explained(gan_gym_command, slide_folder, capsys, command, flag, value) -> None:
    where = (
        [slide_folder] if command == "check-data" else ["--data", slide_folder, "--out", slide_folder / "x"]
    )
    assert gan_gym_command(command, *where, flag, value) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {flag[2:]} is ")
    assert error.endswith("; give micrometres per pixel, a number > 0 such as 0.5\n")


def test_fit_snn_splits_by_patient(gan_gym_command, slide_folder, tmp_path, monkeypatch, capsys) -> None:
    seen: list[PatchSet] = []

    def fit(train: PatchSet, held_out: PatchSet, *_: object, **__: object) -> None:
        seen.extend((train, held_out))

    monkeypatch.setattr(agents.fitting, "fit_snn", fit)
    flags = ["--data", slide_folder, "--out", tmp_path / "snn", "--image_size", 64, "--slide_mpp", 0.25]
    assert gan_gym_command("fit-snn", *flags) == 0
    train, held_out = seen
    assert not set(train.groups.tolist()) & set(held_out.groups.tolist())
    assert train.regions is not None
    assert held_out.regions is not None
    assert len(train.regions) + len(held_out.regions) == 3
    assert len(train) + len(held_out) == 16 + 64 + 64
    err = capsys.readouterr().err
    assert f"warning: {len(held_out)} of 144 patches (" in err, "two patients cannot be split in 1 to 4"
    assert err.count("warning") == 1


def test_a_run_on_slides_remembers_its_resolution(train_quickly, slide_folder, tmp_path, capsys) -> None:
    out = tmp_path / "run"
    options = {"data": slide_folder, "mpp": 1.0, "slide_mpp": 0.5, "image_size": 32, "n_images": 16}
    assert train_quickly(out, **options) == 0
    assert "data: 3 of 3 images usable" in capsys.readouterr().out
    stored = yaml.safe_load((out / "config.yaml").read_text())
    assert (stored["mpp"], stored["slide_mpp"]) == (1.0, 0.5)


def test_the_remedy_without_the_extra(gan_gym_command, slide_folder, capsys, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    assert gan_gym_command("check-data", slide_folder) == 2
    assert "3 x OpenSlide is not installed; pip install 'gan-gym[wsi]'" in capsys.readouterr().out
    assert gan_gym_command("train", "--data", slide_folder, "--out", slide_folder / "x", "--dry_run") == 2
    error = capsys.readouterr().err
    assert error.endswith("pip install 'gan-gym[wsi]'\n")
    assert error.count("\n") == 1


def test_a_run_is_evaluated_at_its_own_resolution(
    gan_gym_command, train_quickly, slide_folder, tmp_path, monkeypatch
) -> None:
    """Both its own held-out patches and other slides are read as the run's were."""
    import agents.judging

    out, asked, real = tmp_path / "run", [], agents.judging.read_patches
    assert train_quickly(out, data=slide_folder, mpp=1.0, slide_mpp=0.5, n_images=16) == 0

    def read(*args: object, **settings: object) -> object:
        asked.append((args[0], settings["mpp"], settings["slide_mpp"]))
        return real(*args, **settings)

    monkeypatch.setattr(agents.judging, "read_patches", read)
    monkeypatch.setattr(agents.judging, "load_extractor", lambda *_: None)
    monkeypatch.setattr(
        agents.judging, "evaluate", lambda *_, **__: (_ for _ in ()).throw(ValueError("far enough"))
    )
    shutil.copytree(slide_folder, other := tmp_path / "other")
    for more in ([], ["--real", other]):
        with pytest.raises(ValueError, match="far enough"):
            gan_gym_command("evaluate", "--run", out, *more)
    assert asked == [(str(slide_folder), 1.0, 0.5), (str(other), 1.0, 0.5)]
