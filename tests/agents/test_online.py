from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import agents.online
import agents.pipeline
from agents import ALGOS, Controller
from agents.controller import build_policy
from agents.environments import DISCRETE_MOVES
from agents.online import ONLINE
from agents.planning import ONLINE_KNOBS
from agents.resuming import best_generator
from agents.rollback import MAX_ROLLBACKS
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.gan import GANTrainer
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.observations import names
from gan_gym.randomness import generator


@pytest.fixture(autouse=True)
def plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.pipeline, "_report", lambda out: 0)


def ends(run: Path) -> dict[str, bytes]:
    names = ("generator.safetensors", "metrics.jsonl", "controller/policy.safetensors")
    return {name: (run / name).read_bytes() for name in names}


def rows(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def at_step(monkeypatch: pytest.MonkeyPatch, n: int, act) -> None:
    real, count = HistoGANEnv.step, [0]

    def step(self, action):
        count[0] += 1
        if count[0] == n:
            act()
        return real(self, action)

    monkeypatch.setattr(HistoGANEnv, "step", step)


def test_every_algorithm_but_ars_learns_online() -> None:
    assert set(ONLINE) == set(ALGOS) - {"ars"}


@pytest.mark.parametrize("algo", ["ppo", "sac", "dqn", "recurrent_ppo"])
def test_learns_inside_one_run_and_keeps_the_policy(train_quickly, tmp_path, algo) -> None:
    assert train_quickly(tmp_path / "run", controller=None, learn=algo) == 0
    found = rows(tmp_path / "run")
    assert [row["env_step"] for row in found] == list(range(1, 11))
    assert found[-1]["end"] == "budget"
    assert any(row["action_g_lr"] != 0 for row in found)
    controller = Controller.load(tmp_path / "run" / "controller")
    assert controller.algo == algo
    action, _ = controller.predict(np.zeros(len(controller.mean), np.float32))
    assert controller.knobs == ONLINE_KNOBS
    assert "reward_weight" in controller.knobs
    assert action.shape == (len(ONLINE_KNOBS),)
    assert (np.abs(action) <= 1).all()


def test_it_really_learns(train_quickly, tmp_path, monkeypatch) -> None:
    """The policy after the run is not the one it started with."""
    before: list[dict] = []
    real = agents.online.find("ppo").load()._setup_model

    def setup(self) -> None:
        real(self)
        before.append({k: v.clone() for k, v in self.policy.state_dict().items()})

    monkeypatch.setattr(agents.online.find("ppo").load(), "_setup_model", setup)
    assert train_quickly(tmp_path / "run", controller=None, learn="ppo") == 0
    after = load_file(tmp_path / "run" / "controller" / "policy.safetensors")
    assert any(not torch.equal(before[0][key], after[f"policy.{key}"]) for key in before[0])


def test_equal_seeds_are_equal_others_differ_and_interruptions_do_not_matter(
    train_quickly, tmp_path, monkeypatch
) -> None:
    online = {"controller": None, "learn": "ppo"}
    assert train_quickly(tmp_path / "one", **online) == 0
    assert train_quickly(tmp_path / "two", **online) == 0
    assert ends(tmp_path / "one") == ends(tmp_path / "two")
    assert train_quickly(tmp_path / "other", "--seed", "1", **online) == 0
    assert ends(tmp_path / "one") != ends(tmp_path / "other")
    with monkeypatch.context() as patch:
        at_step(patch, 6, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train_quickly(tmp_path / "stopped", **online) == 85
    assert len(rows(tmp_path / "stopped")) == 6
    assert not (tmp_path / "stopped" / "controller").exists()
    assert train_quickly(tmp_path / "stopped", "--resume", **online) == 0
    assert ends(tmp_path / "stopped") == ends(tmp_path / "one")


def test_the_best_generator_of_the_run_is_kept(train_quickly, tmp_path) -> None:
    assert train_quickly(tmp_path / "run", controller=None, learn="ppo", n_images=480) == 0
    found = rows(tmp_path / "run")
    _, n_images = best_generator(tmp_path / "run")
    assert n_images == max(found, key=lambda row: row["quality"])["n_images"]


def test_what_has_been_learned_is_not_learned_again(train_quickly, tmp_path, monkeypatch) -> None:
    online = {"controller": None, "learn": "a2c"}
    assert train_quickly(tmp_path / "run", **online) == 0
    before = ends(tmp_path / "run")
    (tmp_path / "run" / "generator.json").unlink()
    monkeypatch.setattr(agents.online, "_learn", lambda *_: pytest.fail("learned again"))
    assert train_quickly(tmp_path / "run", "--resume", **online) == 0
    assert ends(tmp_path / "run") == before


def test_starts_from_a_controller_of_its_kind(train_quickly, tmp_path, capsys) -> None:
    assert train_quickly(tmp_path / "first", controller=None, learn="ppo") == 0
    start = tmp_path / "first" / "controller"
    assert train_quickly(tmp_path / "second", controller=start, learn="ppo") == 0
    assert ends(tmp_path / "first") != ends(tmp_path / "second")
    capsys.readouterr()
    assert train_quickly(tmp_path / "third", controller=start, learn="sac") == 2
    assert "which is no sac policy" in capsys.readouterr().err


@pytest.mark.parametrize(("algo", "move"), [("sac", 0.0), ("dqn", DISCRETE_MOVES[0])])
def test_what_begins_with_a_policy_acts_as_it_does(train_quickly, tmp_path, algo, move) -> None:
    """Not at random: these algorithms begin so where they begin from nothing."""
    start = tmp_path / "start"
    weights = build_policy(algo, ONLINE_KNOBS).state_dict()
    still = {f"policy.{key}": torch.zeros_like(x) for key, x in weights.items()}
    if algo == "sac":
        still["policy.actor.log_std.bias"].fill_(-10.0)
    n = len(names(resolve(ONLINE_KNOBS)))
    statistics = {"observation.mean": torch.zeros(n), "observation.std": torch.ones(n)}
    Controller.of(algo, ONLINE_KNOBS, still | statistics, {}).save(start)
    assert train_quickly(tmp_path / "run", controller=start, learn=algo) == 0
    first = rows(tmp_path / "run")[0]
    assert [first[f"action_{knob}"] for knob in ONLINE_KNOBS] == pytest.approx([move] * 5, abs=1e-3)


class Killed(BaseException):
    pass


def kill(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("other", ["gone", "retrained"])
@pytest.mark.parametrize("killed", ["before the reward model is there", "as it learns"])
def test_a_resumed_run_learns_from_its_own_copy_of_the_start(
    train_quickly, tmp_path, monkeypatch, other, killed
) -> None:
    for seed in (0, 1):
        Controller.of("ppo", DEFAULT_KNOBS, start_of(seed), {}).save(tmp_path / f"start{seed}")
    start = tmp_path / "start0"
    before = load_file(start / "policy.safetensors")
    assert train_quickly(tmp_path / "whole", controller=start, learn="ppo") == 0
    with monkeypatch.context() as patch:
        if killed == "as it learns":
            at_step(patch, 6, kill)
        else:
            patch.setattr(agents.pipeline, "_reward_model", kill)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run", controller=start, learn="ppo")
    assert not (tmp_path / "run" / "controller").exists()
    shutil.rmtree(start)
    if other == "retrained":
        (tmp_path / "start1").rename(start)
    assert train_quickly(tmp_path / "run", "--resume", controller=None) == 0
    assert ends(tmp_path / "run") == ends(tmp_path / "whole")
    kept, learned = (
        load_file(tmp_path / "run" / name / "policy.safetensors")
        for name in ("start_controller", "controller")
    )
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.items())
    assert any(not torch.equal(kept[name], tensor) for name, tensor in learned.items())


def start_of(seed: int) -> dict[str, torch.Tensor]:
    """Return what `Controller.of` needs of a policy that nobody trained."""
    n = len(names(resolve(DEFAULT_KNOBS)))
    rng = generator(seed, "start")
    weights = build_policy("ppo", DEFAULT_KNOBS).state_dict()
    return {
        "observation.mean": torch.zeros(n),
        "observation.std": torch.ones(n),
        **{f"policy.{key}": 0.1 * torch.randn(x.shape, generator=rng) for key, x in weights.items()},
    }


@pytest.mark.parametrize("algo", ["ppo", "sac"])
@pytest.mark.parametrize("always", [True, False])
def test_divergence_goes_back_and_nothing_that_is_not_finite_is_kept(
    train_quickly, tmp_path, monkeypatch, algo, always
) -> None:
    real, times = GANTrainer.train, [0]

    def train(self, n_steps: int):
        result = real(self, n_steps)
        if self.n_images == 96 and (always or not times[0]):
            times[0] += 1
            with torch.no_grad():
                self.g.vector.fill_(float("nan"))
                self.g_ema.vector.fill_(float("nan"))
            result = self.statistics = replace(result, diverged=True)
        return result

    monkeypatch.setattr(GANTrainer, "train", train)
    assert train_quickly(tmp_path / "run", controller=None, learn=algo) == 0
    found = rows(tmp_path / "run")
    assert found[-1]["end"] == ("diverged" if always else "budget")
    assert found[-1]["n_rollbacks"] == (MAX_ROLLBACKS if always else 1)
    assert sum(row["diverged"] for row in found) == (MAX_ROLLBACKS + 1 if always else 1)
    head = json.loads((tmp_path / "run" / "generator.json").read_text())
    assert head["n_images"] == (80 if always else 160)
    for file in (tmp_path / "run").rglob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values())
