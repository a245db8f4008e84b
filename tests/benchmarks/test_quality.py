import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks import quality, quality_runs
from benchmarks.diffusion import Diffusion, check_installed
from benchmarks.quality_runs import RECORDED, Job, run
from benchmarks.quality_table import differences, to_table
from benchmarks.reference_models import REFERENCE_MODELS
from gan_gym.gan import LOSSES, NETWORKS, Settings

Row = dict[str, Any]


def _row(model: str, form: str, seed: int, kid: float | None, **other: Any) -> Row:
    figures = dict.fromkeys(("precision", "recall", "density", "coverage", "memorisation"), 0.5)
    return {
        "model": model, "form": form, "seed": seed, "data": "patches", "image_size": 32, "n_images": 640,
        "batch_size": 32, "kid": kid, **figures, "end": "budget", "diverged": False, "collapsed": False,
        "wall_s": 10.0, "n_real": 50, "n_fake": 500, "n_train": 200, "extractor": "e", "sha256": "s", **other,
    }  # fmt: skip


def test_reference_models_can_be_built() -> None:
    for model in REFERENCE_MODELS.values():
        assert model.networks in NETWORKS
        assert model.loss in LOSSES
        Settings(**model.settings)


def test_every_run_of_the_comparison_is_a_job_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GANs in every form, the diffusion model without control, one GAN with an agent that learns on it."""
    ran: list[Job] = []

    def pretend(job: Job) -> list[Row]:
        ran.append(job)
        return [_row(job.model, job.form, job.seed, 1.0, data="embedded", n_images=job.n_images)]

    monkeypatch.setattr(quality, "run", pretend)
    assert quality.main(["--out", str(tmp_path), "--seeds", "2", "--processes", "1"]) == 0
    cells = [(job.model, job.form, job.seed) for job in ran]
    assert len(set(cells)) == len(cells) == 2 * (3 * len(REFERENCE_MODELS) + 1 + 1)
    assert {form for model, form, _ in cells if model == "ddpm"} == {"uncontrolled"}
    assert {model for model, form, _ in cells if form == "online"} == {"dcgan"}
    rows = [json.loads(line) for line in (tmp_path / "quality.jsonl").read_text().splitlines()]
    assert all("benchmarks.quality" in row["command"] for row in rows)
    assert len(rows) == len(cells)
    assert quality.main(["--out", str(tmp_path), "--seeds", "3", "--processes", "1"]) == 0
    assert {job.seed for job in ran[len(cells) :]} == {2}
    ran.clear()
    quick = tmp_path / "quick"
    assert quality.main(["--out", str(quick), "--quick", "--n_images", "12800", "--processes", "1"]) == 0
    assert {(job.model, job.n_images, job.seed) for job in ran} == {("dcgan", 1280, 0), ("ddpm", 1280, 0)}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--models", "dcgann"], "dcgan"),
        (["--forms", "controled"], "controlled"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_named(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quality.main(["--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert named in error
    assert error.count("\n") == 1


def test_runs_of_another_budget_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quality.jsonl").write_text(json.dumps(_row("dcgan", "uncontrolled", 0, 1.0)) + "\n")
    assert quality.main(["--out", str(tmp_path), "--models", "dcgan"]) == 2
    assert "give another --out" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.diffusion.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"gan-gym\[eval\]"):
        check_installed()


def test_differences_are_of_the_same_model_and_seed() -> None:
    rows = [
        _row("dcgan", "uncontrolled", 0, 3.0), _row("dcgan", "controlled", 0, 1.0),
        _row("dcgan", "uncontrolled", 1, 5.0), _row("dcgan", "controlled", 1, None),
        _row("lsgan", "controlled", 0, 0.0), _row("sngan", "uncontrolled", 0, 9.0),
        _row("sngan", "controlled", 0, 8.5),
    ]  # fmt: skip
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row["model"], row["form"]), []).append(row)
    assert differences(cells, "controlled", "kid") == {"dcgan": [-2.0], "sngan": [-0.5]}
    table = to_table(rows)
    assert "| controlled | 2 | -1.250 [" in table
    assert "(1 without)" in table


def test_seeds_of_one_model_are_no_further_models() -> None:
    """What is the same in all seeds of a model has the interval of the models alone."""
    for n_seeds in (1, 5):
        rows = [
            _row(model, form, seed, kid)
            for model, after in (("dcgan", 0.0), ("lsgan", 1.0), ("sngan", 2.0))
            for form, kid in (("uncontrolled", 3.0), ("controlled", after))
            for seed in range(n_seeds)
        ]
        half = 4.3027 / 3**0.5
        assert f"| controlled | 3 | -2.000 [{-2 - half:.3f}, +{-2 + half:.3f}]" in to_table(rows)
    one = [
        _row("dcgan", form, s, kid - s)
        for form, kid in (("uncontrolled", 3.0), ("online", 4.0))
        for s in (0, 1)
    ]
    one[0]["kid"] = 2.0
    assert "| online | 1 | +1.500 [" in to_table(one)


def test_collapses_and_divergences_are_counted() -> None:
    rows = [
        _row("dcgan", "uncontrolled", seed, 1.0, diverged=seed < 2, collapsed=seed == 2) for seed in range(3)
    ]
    assert "| 2 of 3 | 1 of 3 | 10 |" in to_table(rows)


def test_a_controlled_run_is_judged_on_patches_kept_from_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}

    class Figures:
        def to_json(self) -> dict[str, Any]:
            known = dict.fromkeys(RECORDED, "known")
            return {"kid": {"value": 0.5, **known}, "fid": {"value": None, "reason": "too few", **known}}

    def judge(real: torch.Tensor, fake: torch.Tensor, **others: Any) -> Figures:
        seen.update(real=real, fake=fake, train=others["train"])
        return Figures()

    monkeypatch.setattr(quality_runs, "evaluate", judge)
    monkeypatch.setattr(quality_runs, "N_FAKES", 20)
    job = Job("dcgan", "controlled", 0, None, 16, 320, 8, "cpu", str(tmp_path))
    (row,) = run(job)
    assert row["kid"] == 0.5
    assert row["reasons"] == {"fid": "too few"}
    assert row["end"] in ("budget", "collapsed")
    assert seen["fake"].shape == (20, 3, 16, 16)
    shared = {image.numpy().tobytes() for image in seen["real"]} & {
        i.numpy().tobytes() for i in seen["train"]
    }
    assert not shared
    with Image.open(tmp_path / "dcgan-controlled-0.png") as strip:
        assert strip.size == (16 * 64, 64)


def test_the_diffusion_model_learns_a_colour_and_repeats_itself_by_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.diffusion.EMA_HALFLIFE", 64)
    monkeypatch.setattr("benchmarks.diffusion.N_SAMPLING_STEPS", 10)
    images = torch.tensor([200, 60, 120], dtype=torch.uint8).view(1, 3, 1, 1).expand(16, 3, 8, 8)
    away = []
    for n_steps in (200, 3, 3):
        model = Diffusion((8, 8), seed=0, device=torch.device("cpu"))
        assert model.train(images, n_images=8 * n_steps, batch_size=8) == "budget"
        away.append(float((model.sample(4).float() - images[:1].float()).abs().mean()))
    assert away[0] < 0.5 * away[1]
    assert away[1] == away[2]
