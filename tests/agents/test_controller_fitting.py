"""`gan-gym fit-controller` keeps every seed and puts the best on validation instances first."""

from __future__ import annotations

import json

import pytest

import agents.validation
from agents import cli
from agents.mixtures import MIXTURES, Share

TINY = {"inner_steps": 1, "episode_steps": 3}


@pytest.fixture
def tiny_mixture(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MIXTURES, "tiny", (Share("GridGAN-v0", 2, TINY), Share("RingGAN-v0", 2, TINY)))
    monkeypatch.setattr(agents.validation, "N_EPISODES", {"points": 2})
    monkeypatch.setattr("agents.imitation.N_EPISODES", 1)
    monkeypatch.setattr("agents.imitation.N_EPOCHS", 2)
    monkeypatch.setattr("agents.training.N_EPISODES_TRIED", 2)
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
