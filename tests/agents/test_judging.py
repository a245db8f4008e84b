from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import agents.judging
from gan_gym.metrics import METRICS

KEYS = {"kid", "fid", "precision", "recall", "density", "coverage"}


class MeanColours:
    """An extractor in the small: the mean colours of the quarters of an image."""

    name, sha256, resize = "mean colours", "0" * 64, "none"

    def __call__(self, images: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.fixture(autouse=True)
def quick_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.judging, "load_extractor", lambda *_: MeanColours())


def check(result: dict) -> None:
    assert set(METRICS) <= set(result)
    assert set(METRICS) >= KEYS
    for metric in result.values():
        if metric["value"] is None:
            assert metric["reason"]
        else:
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert all(math.isfinite(metric[key]) for key in ("low", "value", "high"))


def test_folders_are_compared(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    flags = ["--real", patch_folder, "--fake", patch_folder / "one", "--json", tmp_path / "x.json"]
    assert gan_gym_command("evaluate", *flags) == 0
    check(result := json.loads((tmp_path / "x.json").read_text()))
    assert result["kid"]["value"] is not None
    assert result["fid"]["value"] is None
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown for name in METRICS)
    assert "40 real, 20 generated; extractor mean colours" in shown


def test_a_generator_that_repeats_itself_does_not_pass_for_a_few_good_patches(
    gan_gym_command, patch_folder, tmp_path, capsys
) -> None:
    """Files that are equal count as often as they are there: 16 patches and 24 copies of one are 40."""
    images = sorted((patch_folder / "one").iterdir())[:16]
    for folder, copies in (("varied", 0), ("repeated", 24)):
        (tmp_path / folder).mkdir()
        for i, image in enumerate([*images, *[images[3]] * copies]):
            shutil.copy(image, tmp_path / folder / f"{i:02}.png")
    results = []
    for folder in ("varied", "repeated"):
        flags = ["--real", patch_folder, "--fake", tmp_path / folder, "--json", tmp_path / "x.json"]
        assert gan_gym_command("evaluate", *flags) == 0
        results.append(json.loads((tmp_path / "x.json").read_text()))
    assert [result["kid"]["n_fake"] for result in results] == [16, 40]
    assert results[1]["kid"]["value"] > results[0]["kid"]["value"]
    assert "exact copies of other images are kept: 24" in capsys.readouterr().err


def test_one_folder_of_generated_patches_a_class_is_read_with_labels(
    gan_gym_command, finished_run, patch_folder, tmp_path, capsys
) -> None:
    for seed, name in enumerate(sorted(folder.name for folder in patch_folder.iterdir())):
        out = tmp_path / "fakes" / name
        assert (
            gan_gym_command("generate", "--run", finished_run, "--n", 12, "--seed", seed, "--out", out) == 0
        )
        assert (out / "grid.png").is_file()
    capsys.readouterr()
    flags = ["--real", patch_folder, "--fake", tmp_path / "fakes", "--json", tmp_path / "x.json"]
    assert gan_gym_command("evaluate", *flags) == 0
    assert "left out" not in capsys.readouterr().err
    check(result := json.loads((tmp_path / "x.json").read_text()))
    assert result["kid"]["n_fake"] == 24
    for key in ("downstream_synthetic", "downstream_real", "downstream_both"):
        assert 0 <= result[key]["value"] <= 1, result[key]
    assert result["downstream_both"]["n_classifier"] == result["downstream_real"]["n_classifier"] + 24


def test_the_best_checkpoint_is_compared_with_what_its_run_has_not_seen(
    gan_gym_command, finished_run, tmp_path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    before = (run / "evaluation.json").read_bytes() if (run / "evaluation.json").is_file() else None
    assert gan_gym_command("evaluate", "--run", run / "best", "--n", 30) == 0
    check(result := json.loads((run / "best" / "evaluation.json").read_text()))
    assert (result["kid"]["n_real"], result["kid"]["n_fake"]) == (8, 30)
    after = (run / "evaluation.json").read_bytes() if (run / "evaluation.json").is_file() else None
    assert after == before, "the last model's figures stay"


def test_a_run_is_compared_with_what_it_has_not_seen(gan_gym_command, finished_run, tmp_path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    for _ in range(2):
        assert gan_gym_command("evaluate", "--run", run, "--n", 30) == 0
        check(result := json.loads((run / "evaluation.json").read_text()))
        assert (result["kid"]["n_real"], result["kid"]["n_fake"]) == (8, 30)
        assert result["kid"]["split"] == "held out at random"
        assert result["path_length"]["value"] > 0
    before = (run / "evaluation.json").read_bytes()
    assert len(list(run.glob("events.*.end"))) == 1
    for told in ("summary.md", "report.html"):
        assert "generated images 30" in (run / told).read_text(), f"{told} tells of an evaluation before"
    flags = ["--json", tmp_path / "other.json", "--seed", 3]
    assert gan_gym_command("evaluate", "--run", run, "--n", 30, "--real", finished_data(run), *flags) == 0
    assert json.loads((tmp_path / "other.json").read_text())["kid"]["n_real"] == 40
    assert (run / "evaluation.json").read_bytes() == before


def finished_data(run: Path) -> str:
    return next(
        line.partition(": ")[2]
        for line in (run / "config.yaml").read_text().splitlines()
        if line.startswith("data: ")
    )


def test_unusable_patches_are_named(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    shutil.copytree(patch_folder, tmp_path / "fake")
    (tmp_path / "fake" / "one" / "odd.png").write_text("x")
    assert gan_gym_command("evaluate", "--real", patch_folder, "--fake", tmp_path / "fake") == 0
    assert "warning: 1 unusable images are left out: one/odd.png" in capsys.readouterr().err


def test_a_run_whose_data_are_gone(gan_gym_command, finished_run, tmp_path, capsys) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    text = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(text.replace(finished_data(tmp_path / "run"), "/gone"))
    assert gan_gym_command("evaluate", "--run", tmp_path / "run") == 2
    assert "the data path '/gone' does not exist" in capsys.readouterr().err


def test_other_patches_do_not_need_the_runs_own(
    gan_gym_command, finished_run, patch_folder, tmp_path
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    text = (tmp_path / "run" / "config.yaml").read_text()
    (tmp_path / "run" / "config.yaml").write_text(text.replace(finished_data(tmp_path / "run"), "/gone"))
    flags = ["--real", patch_folder, "--n", 30, "--json", tmp_path / "x.json"]
    assert gan_gym_command("evaluate", "--run", tmp_path / "run", *flags) == 0
    check(result := json.loads((tmp_path / "x.json").read_text()))
    assert (result["kid"]["n_real"], result["kid"]["n_fake"]) == (40, 30)


def test_a_run_is_found_from_within(finished_run, monkeypatch) -> None:
    monkeypatch.chdir(finished_run / "best")
    assert Path(agents.judging._home(".")).samefile(finished_run)
    monkeypatch.chdir(finished_run)
    assert agents.judging._home(".") == "."


def test_the_report_is_written_again(gan_gym_command, finished_run, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    (run / "report.html").unlink()
    (run / "summary.md").unlink()
    assert gan_gym_command("report", "--run", run) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    assert "<html" in (run / "report.html").read_text()
    assert "| env steps | 10 |" in (run / "summary.md").read_text()


def test_the_remedies_of_evaluate_are_its_own(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    for i in range(6):
        (tmp_path / "rgba").mkdir(exist_ok=True)
        Image.new("RGBA", (32, 32), (30 * i, 0, 90, 255)).save(tmp_path / "rgba" / f"{i}.png")
    for flags in (
        ["--real", tmp_path / "rgba", "--fake", patch_folder],
        ["--real", patch_folder, "--fake", tmp_path / "rgba", "--image_size", 32],
    ):
        assert gan_gym_command("evaluate", *flags) == 2
        error = capsys.readouterr().err
        assert "2 are needed to compare; " in error
        assert "use --on_bad_image convert" in error
        assert gan_gym_command("evaluate", *flags, "--on_bad_image", "convert") == 0
    flags = ["--real", patch_folder, "--fake", tmp_path / "rgba", "--on_bad_image", "convert"]
    assert gan_gym_command("evaluate", *flags) == 0, "the size is that of converted images too"
    (tmp_path / "lone").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "lone" / "a.png")
    capsys.readouterr()
    assert gan_gym_command("evaluate", "--real", patch_folder, "--fake", tmp_path / "lone") == 2
    error = capsys.readouterr().err
    assert error.endswith("holds only 1 patches, and 2 are needed to compare; add images\n")
