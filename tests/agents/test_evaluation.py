from __future__ import annotations

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest
import torch

import agents
from agents import Controller
from agents.baselines import make_baseline
from agents.controller import build_policy
from agents.evaluation import FIGURES, make_vector, play
from gan_gym.gan import GANTrainer
from gan_gym.knobs import DEFAULT_KNOBS

KEEP = np.zeros(len(DEFAULT_KNOBS), np.float32)
QUICK = {"inner_steps": 2, "episode_steps": 3, "batch_size": 16}


def controller(knobs: tuple[str, ...]) -> Controller:
    n_rows = 25 + 2 * len(knobs)
    return Controller("ppo", build_policy("ppo", knobs), knobs, np.zeros(n_rows), np.ones(n_rows), {})


def test_rows_of_different_agents_pair() -> None:
    rows = {
        name: agents.evaluate(agent, "GridGAN-v0", n_episodes=4, seed=9, env_kwargs=QUICK)
        for name, agent in (("cosine", "cosine"), ("own", controller(("g_lr", "d_lr", "instance_noise"))))
    }
    assert [row.seed for row in rows["cosine"]] == [9, 10, 11, 12]
    assert [row.instance for row in rows["cosine"]] == [row.instance for row in rows["own"]]
    assert len({row.instance for row in rows["cosine"]}) == 4
    assert {row.agent for row in rows["cosine"]} == {"cosine"}
    assert {row.agent for row in rows["own"]} == {"Controller"}


def test_rows_are_json_and_hold_what_the_environment_says() -> None:
    (row,) = agents.evaluate("constant", "GridGAN-v0", n_episodes=1, seed=4, env_kwargs=QUICK)
    env = gym.make("GridGAN-v0", instances="test", **QUICK)
    _, info = env.reset(seed=4)
    best, done = info, False
    while not done:
        _, _, done, _, info = env.step(KEEP)
        best = info if info["quality"] > best["quality"] else best
    assert row.instance == info["instance_seed"]
    assert row.final_quality == info["quality"]
    assert row.best_quality == best["quality"]
    assert [getattr(row, name) for name in FIGURES] == [info[name] for name in FIGURES]
    assert [getattr(row, f"best_{name}") for name in FIGURES] == [best[name] for name in FIGURES]
    assert row.end == "budget"
    assert row.inner_steps == 6
    assert not row.diverged
    fields = {field.name for field in dataclasses.fields(row)} - {"measured"}
    assert json.loads(json.dumps(row.as_dict())) == {name: getattr(row, name) for name in fields}


@pytest.mark.parametrize("name", ["gap_aware", "random"])
def test_the_number_under_way_at_a_time_does_not_matter(name: str) -> None:
    one, three = (
        agents.evaluate(name, "GridGAN-v0", n_episodes=4, n_envs=n, env_kwargs=QUICK) for n in (1, 3)
    )
    for row, other in zip(one, three, strict=True):
        assert (row.seed, row.instance, row.end) == (other.seed, other.instance, other.end)
        assert row.final_quality == pytest.approx(other.final_quality, abs=0.01)


def test_a_controller_gets_its_knobs_and_no_others() -> None:
    own = controller(("d_update_ratio",))
    (row,) = agents.evaluate(own, "RingGAN-v0", n_episodes=1, env_kwargs=QUICK, name="mine")
    assert (row.agent, row.env) == ("mine", "RingGAN-v0")
    with pytest.raises(ValueError, match="this agent was made for"):
        agents.evaluate(own, "RingGAN-v0", n_episodes=1, env_kwargs=QUICK | {"knobs": ("g_lr",)})


class Louder:
    """An agent of the user's own, with nothing but `predict`, whose state is a tuple of arrays."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        count = np.zeros(1) if state is None else np.asarray(state[0]) + 1
        assert episode_start.tolist() == [state is None]
        return np.full_like(KEEP, count[0] / 10), (count,)


def test_anything_that_predicts_can_be_evaluated() -> None:
    rows = agents.evaluate(Louder(), "GridGAN-v0", n_episodes=2, env_kwargs=QUICK)
    assert [row.agent for row in rows] == ["Louder", "Louder"]


class BlowsUp:
    """A rule under which the third block diverges."""

    knobs = None

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return KEEP, state

    def settings(self, info, state):
        return {"g_lr": 1e30, "d_lr": 1e30} if info["env_step"] == 2 else {}, state


def test_a_run_that_blows_up_has_the_figures_of_its_last_finite_model() -> None:
    env = gym.make("GridGAN-v0", instances="test", **QUICK | {"episode_steps": 5})
    env.reset(seed=0)
    infos = [env.step(KEEP)[-1] for _ in range(2)]
    weights = env.unwrapped.trainer.g_ema.vector.detach().clone()
    vector = make_vector("GridGAN-v0", None, 1, QUICK | {"episode_steps": 5})
    seen = []

    def measure(trainer: GANTrainer) -> float:
        seen.append(trainer.g_ema.vector.detach().clone())
        return 7.0

    (row,) = play(vector, "GridGAN-v0", [("reckless", BlowsUp(), 0)], {"own": measure})
    assert row.diverged
    assert row.end == "diverged"
    assert row.inner_steps == 3 * QUICK["inner_steps"]
    assert (row.final_quality, row.modes, row.kernel) == tuple(
        infos[1][name] for name in ("quality", "modes", "kernel")
    )
    assert torch.equal(seen[0], weights), "the model that was measured is another one"
    assert {"own", "best_own"} == row.as_dict().keys() & {"own", "best_own", "measured"}


def test_a_run_that_blows_up_at_once_has_the_figures_of_the_untrained_model() -> None:
    env = gym.make("GridGAN-v0", instances="test", **QUICK)
    _, info = env.reset(seed=0)
    reckless = make_baseline("ttur", g_lr=1e30, d_lr=1e30)
    (row,) = agents.evaluate(reckless, "GridGAN-v0", n_episodes=1, env_kwargs=QUICK)
    assert row.diverged
    assert row.final_quality == row.best_quality == info["quality"]


def test_the_best_model_is_measured_too() -> None:
    arguments, measures = QUICK | {"episode_steps": 6}, {"norm": _norm}
    env = gym.make("GridGAN-v0", instances="test", **arguments)
    env.reset(seed=0)
    env.unwrapped.set_knobs({"g_lr": 0.05, "d_lr": 0.05})  # so that its quality jumps up and down
    course = []
    for _ in range(6):
        info = env.step(KEEP)[-1]
        course.append((info["quality"], _norm(env.unwrapped.trainer)))
    assert max(course) != course[-1]
    vector = make_vector("GridGAN-v0", None, 1, arguments)
    (row,) = play(vector, "GridGAN-v0", [("wild", make_baseline("ttur", g_lr=0.05, d_lr=0.05), 0)], measures)
    assert (row.best_quality, row.final_quality) == (max(course)[0], course[-1][0])
    assert row.measured == {"norm": course[-1][1], "best_norm": max(course)[1]}


def _norm(trainer: GANTrainer) -> float:
    return float(trainer.g_ema.vector.norm())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"agent": "constnt"}, "did you mean 'constant'"),
        ({"id": "GridGAN"}, "did you mean 'GridGAN-v0'"),
        ({"n_episodes": 0}, "n_episodes is 0"),
        ({"n_envs": -1}, "n_envs is -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        agents.evaluate(**{"agent": "constant", "id": "GridGAN-v0", "n_episodes": 1} | arguments)
