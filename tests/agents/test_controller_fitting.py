"""`gan-gym fit-controller` keeps every seed and puts the best on validation instances first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.controller_fitting
import agents.validation
from agents import cli
from agents.mixtures import MIXTURES, Share
from agents.training_checkpoints import TrainingCheckpoints
from agents.validation import Validation

TINY = {"inner_steps": 1, "episode_steps": 3}


@pytest.fixture
def tiny_mixture(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MIXTURES, "tiny", (Share("GridGAN-v0", 2, TINY), Share("RingGAN-v0", 2, TINY)))
    monkeypatch.setattr(agents.validation, "N_EPISODES", {"points": 2})
    monkeypatch.setattr("agents.imitation.N_EPISODES", 1)
    monkeypatch.setattr("agents.imitation.N_EPOCHS", 2)
    return "tiny"


def test_keeps_all_seeds_and_puts_the_best_first(tiny_mixture, tmp_path, capsys) -> None:
    out = tmp_path / "controller"
    arguments = ["--env", tiny_mixture, "--imitate", "cosine", "--total_timesteps", "160", "--seed", "3"]
    assert cli.main(["fit-controller", *arguments, "--seeds", "2", "--out", str(out)]) == 0
    heads = {path.parent.name: json.loads(path.read_text()) for path in out.rglob("controller.json")}
    assert set(heads) == {"controller", "seed_3", "seed_4"}
    cards = {name: head["card"] for name, head in heads.items()}
    best = max(("seed_3", "seed_4"), key=lambda name: cards[name]["validation"]["quality"])
    assert heads["controller"] == heads[best]
    assert heads["seed_3"]["sha256"] != heads["seed_4"]["sha256"]
    assert cards["seed_4"]["imitated"] == "cosine"
    assert set(cards["seed_4"]["validation"]["course"][0]["quality"]) == {"GridGAN-v0", "RingGAN-v0"}
    assert len(list(tmp_path.glob("controller.tensorboard/seed_*/events.*"))) == 2
    assert "controller in" in capsys.readouterr().out


def test_a_single_seed_lies_in_the_folder_itself(tiny_mixture, tmp_path) -> None:
    out = tmp_path / "controller"
    arguments = ["--env", tiny_mixture, "--total_timesteps", "20", "--out", str(out)]
    assert cli.main(["fit-controller", *arguments]) == 0
    assert [path.parent.name for path in out.rglob("controller.json")] == ["controller"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "seeds"),
        (["--env", "mixture", "--n_envs", "4"], "n_envs is 4; leave it out"),
        (["--algo", "sac", "--imitate", "cosine"], "sac cannot imitate"),
        (["--imitate", "cosin"], "did you mean 'cosine'"),
    ],
)
def test_wrong_input_is_said_in_a_line(arguments, message, tmp_path, capsys) -> None:
    assert cli.main(["fit-controller", *arguments, "--out", str(tmp_path / "c")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Killed(BaseException):
    pass


def _die_at(monkeypatch: pytest.MonkeyPatch, nth: int, error: type[BaseException] = Killed) -> None:
    """Stop right after the nth checkpoint of this process."""
    save, n = TrainingCheckpoints.save, 0

    def save_and_die(self, *arguments) -> None:
        nonlocal n
        save(self, *arguments)
        n += 1
        if n == nth:
            raise error

    monkeypatch.setattr(TrainingCheckpoints, "save", save_and_die)


def _digests(out: Path) -> dict[str, str]:
    return {
        path.parent.name.replace(out.name, "controller"): json.loads(path.read_text())["sha256"]
        for path in out.rglob("controller.json")
    }


def _fit(out: Path, *flags: str) -> int:
    settings = ["--total_timesteps", "480", "--seeds", "2", "--out", str(out)]
    return cli.main(["fit-controller", "--env", "tiny", *settings, *flags])


def _one_seed(out: Path) -> list[str]:
    return ["fit-controller", "--env", "tiny", "--total_timesteps", "480", "--out", str(out)]


@pytest.fixture
def last_is_best(tiny_mixture, monkeypatch) -> None:
    monkeypatch.setattr(
        agents.validation,
        "validate",
        lambda controller, shares, t, n: Validation(t, {"GridGAN-v0": t / 1000}),
    )


@pytest.mark.parametrize(
    ("algo", "nth_of_second_seed"), [("ppo", 4), ("a2c", 8), ("recurrent_ppo", 4), ("trpo", 4)]
)
def test_a_killed_training_goes_on_and_ends_as_an_undisturbed_one(
    last_is_best, tmp_path, monkeypatch, algo, nth_of_second_seed
) -> None:
    """Killed in the first leg, in the second, and in one of the second seed."""
    flags = ["--algo", algo, *(["--imitate", "cosine"] if algo == "ppo" else [])]
    assert _fit(tmp_path / "whole", *flags) == 0
    for nth, resume in ((1, []), (2, ["--resume"]), (nth_of_second_seed, ["--resume"])):
        with monkeypatch.context() as patch:
            _die_at(patch, nth)
            with pytest.raises(Killed):
                _fit(tmp_path / "killed", *flags, *resume)
    assert (tmp_path / ".killed.fit" / "seed_0").is_dir()
    assert not (tmp_path / "killed").exists()
    assert _fit(tmp_path / "killed", *flags, "--resume") == 0
    assert _digests(tmp_path / "killed") == _digests(tmp_path / "whole")
    assert len(set(_digests(tmp_path / "whole").values())) == 2
    assert not (tmp_path / ".killed.fit").exists()


def _die_at_the_second_seed(patch: pytest.MonkeyPatch) -> list[int]:
    """Let the second call of `train` die; return the seeds of all calls, which grows with them."""
    train, seeds = agents.controller_fitting.train, list[int]()

    def train_once(*args, seed, **kwargs):
        seeds.append(seed)
        if len(seeds) == 2:
            raise Killed
        return train(*args, seed=seed, **kwargs)

    patch.setattr(agents.controller_fitting, "train", train_once)
    return seeds


def test_an_algorithm_without_rollouts_keeps_whole_seeds(last_is_best, tmp_path, monkeypatch) -> None:
    flags = ["--algo", "sac", "--total_timesteps", "60"]
    assert _fit(tmp_path / "whole", *flags) == 0
    seeds = _die_at_the_second_seed(monkeypatch)
    with pytest.raises(Killed):
        _fit(tmp_path / "killed", *flags)
    assert _fit(tmp_path / "killed", *flags, "--resume") == 0
    assert seeds == [0, 1, 1]
    assert _digests(tmp_path / "killed") == _digests(tmp_path / "whole")


@pytest.fixture(scope="module")
def stopped_fit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit of an algorithm without checkpoints that was stopped at its second seed."""
    folder = tmp_path_factory.mktemp("fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MIXTURES, "tiny", (Share("GridGAN-v0", 2, TINY),))
        patch.setattr(agents.validation, "N_EPISODES", {"points": 2})
        _die_at_the_second_seed(patch)
        with pytest.raises(Killed):
            _fit(folder / "c", "--algo", "sac", "--total_timesteps", "20")
    return folder


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("--algo", "dqn"), "algo"),
        (("--env", "GridGAN-v0"), "env"),
        (("--knobs", "g_lr,d_lr"), "knobs"),
        (("--total_timesteps", "21"), "total_timesteps"),
        (("--imitate", "cosine"), "imitate"),
        (("--n_envs", "2"), "n_envs"),
        (("--algo", "td3", "--total_timesteps", "21"), "algo, total_timesteps"),
    ],
)
def test_finished_seeds_of_other_options_are_not_taken(
    stopped_fit, tmp_path, monkeypatch, capsys, changed, named
) -> None:
    """Neither trained with, nor lost: with the same options the fit would go on."""
    monkeypatch.setattr(agents.controller_fitting, "train", lambda *_, **__: pytest.fail("trained"))
    shutil.copytree(stopped_fit, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "c"
    assert _fit(out, "--algo", "sac", "--total_timesteps", "20", "--resume", *changed) == 2
    folder = tmp_path / ".c.fit"
    assert f"had another {named}; give the same, or remove '{folder}'" in capsys.readouterr().err
    assert (folder / "seed_0" / "controller.json").is_file()
    assert not out.exists()


def test_a_fit_that_says_not_how_it_was_made_is_not_continued(stopped_fit, tmp_path, capsys) -> None:
    shutil.copytree(stopped_fit, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".c.fit" / ".options.json").unlink()
    assert _fit(tmp_path / "c", "--algo", "sac", "--total_timesteps", "20", "--resume") == 2
    assert (
        "options.json' cannot be read (No such file or directory); restore it, or" in capsys.readouterr().err
    )


def test_a_stopped_training_says_how_to_go_on(tiny_mixture, tmp_path, monkeypatch, capsys) -> None:
    arguments = _one_seed(tmp_path / "c")
    assert cli.main([*arguments, "--resume"]) == 2
    with monkeypatch.context() as patch:
        _die_at(patch, 2, KeyboardInterrupt)
        assert cli.main(arguments) == 85
    assert "continue with the same command and --resume" in capsys.readouterr().err
    assert cli.main(arguments) == 2
    assert "was stopped; continue it with --resume, or remove" in capsys.readouterr().err
    assert cli.main([*arguments, "--resume", "--total_timesteps", "500"]) == 2
    assert "had another total_timesteps; give the same, or remove" in capsys.readouterr().err
    assert cli.main([*arguments, "--resume"]) == 0


def test_tensorboard_shows_no_step_twice(tiny_mixture, tmp_path, monkeypatch) -> None:
    arguments = _one_seed(tmp_path / "c")
    with monkeypatch.context() as patch:
        _die_at(patch, 3)
        with pytest.raises(Killed):
            cli.main(arguments)
    assert cli.main([*arguments, "--resume"]) == 0
    events = EventAccumulator(str(tmp_path / "c.tensorboard" / "seed_0"))
    events.Reload()
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert steps == sorted(set(steps)), tag
