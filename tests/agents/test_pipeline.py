from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import agents.controlled
import agents.fitting
import agents.pipeline
import agents.resuming
from agents import Controller
from agents.controller import build_policy
from agents.generator_file import load_generator
from agents.recording import N_SHOWN
from agents.rollback import MAX_ROLLBACKS
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.gan import GANTrainer
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.observations import names
from gan_gym.randomness import generator
from gan_gym.render import image_grid
from snn.stages import QUICK_STAGES


class Killed(BaseException):
    """What a kill looks like from inside: no handler of ours sees it."""


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the report out, which takes longer than such a run; `finished_run` has one."""
    monkeypatch.setattr(agents.pipeline, "_report", lambda out: 0)


def ends(run: Path) -> dict[str, bytes]:
    """All that must not depend on interruptions."""
    names = "generator.safetensors", "best/generator.safetensors", "metrics.jsonl"
    files = [
        *(run / name for name in names),
        *sorted((run / "samples").glob("*.png")),
        *sorted((run / "projector").iterdir()),
    ]
    return {str(file.relative_to(run)): file.read_bytes() for file in files}


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def at_step(monkeypatch: pytest.MonkeyPatch, n: int, act) -> None:
    """Let `act` happen after the n-th env step from here."""
    real, count = HistoGANEnv.step, [0]

    def step(self, action):
        result = real(self, action)
        count[0] += 1
        if count[0] == n:
            act()
        return result

    monkeypatch.setattr(HistoGANEnv, "step", step)


def kill() -> None:
    raise Killed


@pytest.fixture(scope="module")
def undisturbed(finished_run) -> dict[str, bytes]:
    return ends(finished_run)


def test_a_run_folder_holds_all_of_the_contract(finished_run) -> None:
    held = {str(p.relative_to(finished_run)) for p in finished_run.rglob("*") if p.is_file()}
    assert {
        "config.yaml", "command.txt", "env.json", "metrics.jsonl", "snn/model.json", "snn/model.safetensors",
        "controller/baseline.json", "checkpoints/LATEST", "generator.safetensors", "generator.json",
        "best/generator.safetensors", "best/generator.json", "report.html", "summary.md",
        "samples/real.png", "samples/000000000.png", "samples/000000160.png", "projector_config.pbtxt",
        *(f"figures/{name}.png" for name in ("reward", "losses", "knobs", "progress", "generated_and_real")),
    } <= held  # fmt: skip
    assert any(name.startswith("events.") for name in held)
    assert not any(name.startswith(".") or "/." in name or "part" in name for name in held)
    newest = finished_run / "checkpoints" / (finished_run / "checkpoints" / "LATEST").read_text()
    assert (newest / "manifest.json").is_file()
    assert yaml.safe_load((finished_run / "config.yaml").read_text())["networks"] == "light"


def test_the_best_generator_is_that_of_the_best_checkpoint(train_quickly, tmp_path, monkeypatch) -> None:
    real, out = HistoGANEnv.current, tmp_path / "run"

    def best_in_the_middle(self):
        observation, info = real(self)
        return observation, {**info, "quality": 0.9 - abs(info["env_step"] - 4) / 10}

    monkeypatch.setattr(HistoGANEnv, "current", best_in_the_middle)
    assert train_quickly(out) == 0
    assert (out / "checkpoints" / "BEST").read_text() == "ckpt-000000064"
    assert len(list((out / "checkpoints").glob("ckpt-*"))) == 3
    kept, last = (load_generator(str(run), torch.device("cpu")) for run in (out / "best", out))
    z = torch.randn(N_SHOWN, kept.z_dim, generator=generator(0, "grid"))
    for module, n_images in ((kept, 64), (last, 160)):
        picture = np.asarray(Image.open(out / "samples" / f"{n_images:09d}.png"))
        assert np.array_equal(picture, image_grid(module(z).detach(), scale=4))
    assert json.loads((out / "best" / "generator.json").read_text())["n_images"] == 64


def test_metrics_hold_neither_clock_nor_path(finished_run, patch_folder) -> None:
    text = (finished_run / "metrics.jsonl").read_text()
    assert len(rows(finished_run)) == 10
    assert not re.search(r"time|clock|seconds|20\d\d-", text)
    assert "/" not in text
    for row in rows(finished_run):
        assert all(np.isfinite(v) for v in row.values() if not isinstance(v, str))
        assert {f"action_{name}" for name in DEFAULT_KNOBS} <= set(row)
    assert [row["n_images"] for row in rows(finished_run)] == list(range(16, 161, 16))
    assert rows(finished_run)[-1]["end"] == "budget"


def test_everything_is_finite_and_nothing_is_pickled(finished_run) -> None:
    for file in finished_run.rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values())
    kinds = {p.suffix for p in finished_run.rglob("*") if p.is_file() and not p.name.startswith("events.")}
    assert kinds == {
        ".yaml", ".txt", ".json", ".jsonl", ".safetensors", ".png", ".html", ".md", ".pbtxt", ".tsv", "",
    }  # fmt: skip


def test_equal_seeds_are_equal_and_others_differ(train_quickly, tmp_path, undisturbed) -> None:
    assert train_quickly(tmp_path / "same") == 0
    assert ends(tmp_path / "same") == undisturbed
    assert train_quickly(tmp_path / "other", "--seed", "1") == 0
    other = ends(tmp_path / "other")
    assert all(other[name] != undisturbed[name] for name in ("generator.safetensors", "metrics.jsonl"))


@pytest.mark.parametrize("steps", [(1,), (2, 1, 4), (10,)])
def test_a_killed_run_ends_as_an_undisturbed_one(
    train_quickly, tmp_path, monkeypatch, undisturbed, steps
) -> None:
    out = tmp_path / "run"
    for i, n in enumerate(steps):
        with monkeypatch.context() as patch:
            at_step(patch, n, kill)
            with pytest.raises(Killed):
                train_quickly(out, *(["--resume"] if i else []))
        with (out / "metrics.jsonl").open("a") as file:
            file.write('{"half a row')
        known = max((int(p.name[5:]) for p in (out / "checkpoints").glob("ckpt-*")), default=-1)
        for grid in (out / "samples").glob("0*.png"):
            if int(grid.stem) > known:
                grid.write_bytes(b"half a picture")
    assert train_quickly(out, "--resume") == 0
    assert ends(out) == undisturbed


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("nth", [1, 6])
def test_a_kill_around_a_checkpoint(train_quickly, tmp_path, monkeypatch, undisturbed, nth, before) -> None:
    real, count = agents.resuming.save_run_state, [0]

    def save(*arguments, **best) -> None:
        count[0] += 1
        if count[0] == nth and before:
            raise Killed
        real(*arguments, **best)
        if count[0] == nth:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(agents.resuming, "save_run_state", save)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert ends(tmp_path / "run") == undisturbed


def test_patches_below_a_name_that_is_no_text_are_trained_on(
    gan_gym_command, train_quickly, patch_folder, tmp_path, capsys
) -> None:
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(patch_folder, data)
    run = tmp_path / "run"
    assert train_quickly(run, data=data, n_images=16) == 0
    assert gan_gym_command("report", "--run", run) == 0
    assert train_quickly(f"{data}.run", n_images=16) == 2
    assert "caf\\udce9.run' is no readable text; give a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_finishes_the_block_and_leaves_a_resumable_run(
    train_quickly, tmp_path, monkeypatch, undisturbed, capsys, name
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: os.kill(os.getpid(), getattr(signal, name)))
        assert train_quickly(tmp_path / "run") == 85
    assert "--resume" in capsys.readouterr().out
    assert len(rows(tmp_path / "run")) == 3
    assert not (tmp_path / "run" / "generator.json").exists()
    with monkeypatch.context() as patch:
        at_step(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))  # in the last block
        assert train_quickly(tmp_path / "run", "--resume") == 85
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert ends(tmp_path / "run") == undisturbed


def test_a_signal_outside_training_is_85_too(train_quickly, tmp_path, monkeypatch, undisturbed) -> None:
    def interrupt(*_, **__) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(agents.pipeline, "_reward_model", interrupt)
        assert train_quickly(tmp_path / "run") == 85
    (tmp_path / "run" / ".snn.part").mkdir()
    (tmp_path / "run" / ".snn.part" / "stale.part").write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr(agents.pipeline, "_evaluate", interrupt)
        patch.setattr(agents.pipeline, "_resumed", lambda c, r: replace(real(c, r), evaluate=True))
        assert train_quickly(tmp_path / "run", "--resume") == 85
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert ends(tmp_path / "run") == undisturbed
    assert sorted(p.name for p in (tmp_path / "run" / "snn").iterdir()) == ["model.json", "model.safetensors"]


real = agents.pipeline._resumed


def test_a_fit_that_was_killed_is_done_again_alike(train_quickly, tmp_path, monkeypatch) -> None:
    stages = tuple(replace(stage, n_steps=2, batch_size=8) for stage in QUICK_STAGES)
    monkeypatch.setitem(agents.fitting.STAGES, "shipped", stages)
    assert train_quickly(tmp_path / "whole", reward_model="refine") == 0
    with monkeypatch.context() as patch:
        patch.setattr(agents.fitting, "evaluate", lambda *_, **__: kill())
        with pytest.raises(Killed):
            train_quickly(tmp_path / "killed", reward_model="refine")
    assert not (tmp_path / "killed" / "snn").exists()
    assert train_quickly(tmp_path / "killed", "--resume") == 0
    assert ends(tmp_path / "killed") == ends(tmp_path / "whole")
    models = [load_file(tmp_path / name / "snn" / "model.safetensors") for name in ("whole", "killed")]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])
    assert json.loads((tmp_path / "whole" / "snn" / "history.json").read_text())


def test_a_damaged_checkpoint_costs_one_checkpoint_only(
    train_quickly, tmp_path, monkeypatch, undisturbed, capsys
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 6, kill)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("ckpt-*"))
    (newest / "state.safetensors").write_bytes(b"damaged")
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert f"warning: checkpoint {newest} is damaged" in capsys.readouterr().err
    assert ends(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("damage", ["checkpoints", "metrics"])
def test_a_run_that_cannot_be_continued_says_why(
    train_quickly, tmp_path, monkeypatch, capsys, damage
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 4, kill)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    if damage == "metrics":
        (tmp_path / "run" / "metrics.jsonl").unlink()
    for path in (tmp_path / "run" / "checkpoints").glob("ckpt-*/manifest.json"):
        if damage == "checkpoints":
            path.unlink()
    assert train_quickly(tmp_path / "run", "--resume") == 2
    message = {"checkpoints": "no checkpoint in", "metrics": "holds less than the checkpoint's 3 rows"}[
        damage
    ]
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_complete_run_is_not_done_again(train_quickly, tmp_path, finished_run, monkeypatch, capsys) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    monkeypatch.setattr(agents.pipeline, "make_plan", lambda *_: pytest.fail("loaded the data again"))
    before = ends(tmp_path / "run")
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert "complete" in capsys.readouterr().out
    assert ends(tmp_path / "run") == before


def test_a_lost_generator_is_made_again_without_training(
    train_quickly, tmp_path, finished_run, monkeypatch
) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    before = ends(tmp_path / "run")
    (tmp_path / "run" / "generator.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(GANTrainer, "train", lambda *_: pytest.fail("trained again"))
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert ends(tmp_path / "run") == before


def test_a_dry_run_writes_nothing(train_quickly, tmp_path, finished_run, capsys) -> None:
    assert train_quickly(tmp_path / "run", "--dry_run") == 0
    assert list(tmp_path.iterdir()) == []
    assert "10 blocks of 2 updates of 8 patches" in capsys.readouterr().out
    shutil.copytree(finished_run, tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    assert train_quickly(tmp_path / "run", "--resume", "--dry_run") == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_a_resumed_run_keeps_its_options_and_says_so(
    train_quickly, tmp_path, monkeypatch, undisturbed, capsys
) -> None:
    with monkeypatch.context() as patch:
        at_step(patch, 4, kill)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    capsys.readouterr()
    assert train_quickly(tmp_path / "run", "--resume", n_images=320, loss="hinge") == 0
    err = capsys.readouterr().err
    assert "warning: --n_images 320 is ignored: the run was started with 160" in err
    assert "--loss hinge is ignored" in err
    assert "--data" not in err
    assert ends(tmp_path / "run") == undisturbed


@pytest.fixture
def controller() -> Controller:
    n = len(names(resolve(DEFAULT_KNOBS)))
    policy = build_policy("recurrent_ppo", DEFAULT_KNOBS)
    return Controller("recurrent_ppo", policy, DEFAULT_KNOBS, np.zeros(n), np.ones(n), {})


def test_a_run_needs_nothing_from_outside_its_folder_but_the_data(
    train_quickly, tmp_path, monkeypatch, controller
) -> None:
    """Under a recurrent policy, whose state belongs to the checkpoint."""
    controller.save(tmp_path / "c")
    monkeypatch.chdir(tmp_path)
    assert train_quickly(tmp_path / "whole", controller="c") == 0
    with monkeypatch.context() as patch:
        at_step(patch, 5, kill)
        with pytest.raises(Killed):
            train_quickly("run", controller="c")
    shutil.rmtree(tmp_path / "c")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train_quickly("../run", "--resume", controller=None, data=None) == 0
    assert ends(tmp_path / "run") == ends(tmp_path / "whole")
    assert any(abs(row["action_g_lr"]) > 0 for row in rows(tmp_path / "run"))
    assert Controller.load(tmp_path / "run" / "controller").algo == "recurrent_ppo"


@pytest.mark.parametrize("name", ["random", "gap_aware", "update_ratio", "tuned_schedule"])
def test_every_kind_of_baseline_controls_a_run(train_quickly, tmp_path, name) -> None:
    assert train_quickly(tmp_path / "run", controller=name, n_images=48) == 0
    assert len(rows(tmp_path / "run")) == 3
    assert json.loads((tmp_path / "run" / "controller" / "baseline.json").read_text()) == {"baseline": name}


def diverge_when(monkeypatch: pytest.MonkeyPatch, condition) -> None:
    """Blow the generator's weights up after a block that meets the condition."""
    real_train = GANTrainer.train

    def train(self, n_steps: int):
        result = real_train(self, n_steps)
        if condition(self):
            with torch.no_grad():
                self.g.vector.fill_(float("nan"))
                self.g_ema.vector.fill_(float("nan"))
            result = self.statistics = replace(result, diverged=True)
        return result

    monkeypatch.setattr(GANTrainer, "train", train)


def all_finite(run: Path) -> bool:
    return all(torch.isfinite(t).all() for f in run.rglob("*.safetensors") for t in load_file(f).values())


@pytest.mark.parametrize("baseline", ["constant", "ttur"])
def test_a_diverged_run_goes_back_and_goes_on_more_slowly(
    train_quickly, tmp_path, monkeypatch, capsys, baseline
) -> None:
    """A moving and an exact rule: the rates are a quarter of what they were, and the run ends whole."""
    diverge_when(monkeypatch, lambda trainer: trainer.n_images == 96 and trainer.learning_rates[0] > 6e-5)
    assert train_quickly(tmp_path / "run", controller=baseline) == 0
    found = rows(tmp_path / "run")
    assert [row["n_rollbacks"] for row in found] == [0] * 6 + [1] * 5
    assert [row["diverged"] for row in found] == [False] * 5 + [True] + [False] * 5
    assert found[-1]["g_lr"] == pytest.approx(found[0]["g_lr"] / 4)
    assert found[-1]["end"] == "budget"
    assert all_finite(tmp_path / "run")
    assert "warning: the run diverged; back to 80 images" in capsys.readouterr().err


def test_a_run_that_keeps_diverging_ends_honestly_with_its_last_good_generator(
    train_quickly, tmp_path, monkeypatch, capsys
) -> None:
    diverge_when(monkeypatch, lambda trainer: trainer.n_images == 96)
    assert train_quickly(tmp_path / "run") == 0
    found = rows(tmp_path / "run")
    assert found[-1]["end"] == "diverged"
    assert found[-1]["n_rollbacks"] == MAX_ROLLBACKS
    assert sum(row["diverged"] for row in found) == MAX_ROLLBACKS + 1
    assert json.loads((tmp_path / "run" / "generator.json").read_text())["n_images"] == 80
    assert all_finite(tmp_path / "run")
    assert "diverged 4 times" in capsys.readouterr().err


@pytest.mark.parametrize("lr", [1e30, 1e12])
def test_real_divergence_from_the_first_block_on(train_quickly, tmp_path, monkeypatch, lr) -> None:
    """At 1e12 the weights stay finite, and the generator's running statistics overflow."""
    monkeypatch.setattr(HistoGANEnv, "default_settings", {"g_lr": lr, "d_lr": 2e-4, "beta1": 0.5})
    assert train_quickly(tmp_path / "run", controller="constant") == 0
    assert rows(tmp_path / "run")[-1]["end"] == "diverged"
    assert json.loads((tmp_path / "run" / "generator.json").read_text())["n_images"] == 0
    assert all_finite(tmp_path / "run")


@pytest.mark.parametrize("stops", [(5, 1), (6, 2, 1)])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_interruptions_around_a_divergence_change_nothing(
    train_quickly, tmp_path, monkeypatch, how, stops
) -> None:
    """Checkpoints every second block, so that a stop lies between two and the good state is an older one."""
    monkeypatch.setattr(agents.controlled, "N_CHECKPOINTS", 5)
    diverge_when(monkeypatch, lambda trainer: trainer.n_images == 96 and trainer.learning_rates[0] > 2e-5)
    assert train_quickly(tmp_path / "whole", controller="constant") == 0
    assert rows(tmp_path / "whole")[-1]["n_rollbacks"] == 2
    for i, n in enumerate(stops):
        with monkeypatch.context() as patch:
            if how == "stop":
                at_step(patch, n, lambda: os.kill(os.getpid(), signal.SIGTERM))
                assert (
                    train_quickly(tmp_path / "run", *(["--resume"] if i else []), controller="constant") == 85
                )
            else:
                at_step(patch, n, kill)
                with pytest.raises(Killed):
                    train_quickly(tmp_path / "run", *(["--resume"] if i else []), controller="constant")
    assert train_quickly(tmp_path / "run", "--resume", controller="constant") == 0
    assert ends(tmp_path / "run") == ends(tmp_path / "whole")


def test_the_evaluation_is_written_and_wanted_on_resume(train_quickly, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(agents.pipeline, "evaluate_images", lambda *_, **__: FakeEvaluation())
    assert train_quickly(tmp_path / "run", evaluate="true", n_images=16) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text()) == {"kid": {"value": 1.0}}
    (tmp_path / "run" / "evaluation.json").unlink()
    assert train_quickly(tmp_path / "run", "--resume") == 0
    assert (tmp_path / "run" / "evaluation.json").is_file()


def test_all_classes_are_evaluated_where_not_all_patches_are(train_quickly, tmp_path, monkeypatch) -> None:
    """Patches lie class by class: the first ones are of one class alone."""
    seen: list[torch.Tensor] = []

    def evaluated(real, _, *, train, **__) -> FakeEvaluation:
        seen.extend((real.labels, train))
        return FakeEvaluation()

    monkeypatch.setattr(agents.pipeline, "evaluate_images", evaluated)
    monkeypatch.setattr(agents.pipeline, "N_EVALUATED", 12)
    monkeypatch.setattr(agents.pipeline, "N_REMEMBERED", 4)
    flags = {"evaluate": "true", "n_images": 16, "held_out": 0.5}
    assert train_quickly(tmp_path / "run", **flags) == 0
    assert len(seen[0]) == 12
    assert set(seen[0].tolist()) == {0, 1}
    assert len(seen[1]) == 4


class FakeEvaluation:
    memorisation = None

    def to_json(self) -> dict[str, dict[str, float]]:
        return {"kid": {"value": 1.0}}


def test_the_global_random_states_are_left_alone(train_quickly, tmp_path) -> None:
    before = (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert train_quickly(tmp_path / "run", n_images=32) == 0
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002


@pytest.mark.skipif(
    not os.environ.get("GAN_GYM_DATA"), reason="GAN_GYM_DATA names no folder with real patches (pcam_1000)"
)
def test_on_real_patches(tmp_path, gan_gym_command, monkeypatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(agents.pipeline, "N_EVALUATED", 40)
    data = Path(os.environ["GAN_GYM_DATA"]) / "pcam_1000"
    flags = [
        "--image_size",
        32,
        "--n_images",
        128,
        "--batch_size",
        16,
        "--inner_steps",
        2,
        "--controller",
        "cosine",
    ]
    assert (
        gan_gym_command(
            "train", "--data", data, "--out", tmp_path / "run", "--reward_model", "shipped", *flags
        )
        == 0
    )
    assert len(rows(tmp_path / "run")) == 4
    assert "kid" in json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "run" / "summary.md").is_file()
