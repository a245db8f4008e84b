from __future__ import annotations

import dataclasses
import json

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents import Controller
from agents.baselines import make_baseline
from agents.controller import build_policy

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
    best, done = 0.0, False
    while not done:
        _, _, done, _, info = env.step(np.zeros(3, np.float32))
        best = max(best, info["quality"])
    assert row.instance == info["instance_seed"]
    assert row.final_quality == info["quality"]
    assert row.best_quality == best
    assert (row.modes, row.modes20, row.hq, row.end) == (info["modes"], info["modes20"], info["hq"], "budget")
    assert row.inner_steps == 6
    assert not row.diverged
    assert json.loads(json.dumps(row.as_dict())) == dataclasses.asdict(row)


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
        return np.full(3, count[0] / 10, np.float32), (count,)


def test_anything_that_predicts_can_be_evaluated() -> None:
    rows = agents.evaluate(Louder(), "GridGAN-v0", n_episodes=2, env_kwargs=QUICK)
    assert [row.agent for row in rows] == ["Louder", "Louder"]


def test_a_run_that_blows_up_is_counted_as_diverged() -> None:
    reckless = make_baseline("ttur", g_lr=1e30, d_lr=1e30)
    (row,) = agents.evaluate(reckless, "GridGAN-v0", n_episodes=1, env_kwargs=QUICK)
    assert row.diverged
    assert row.end == "diverged"
    assert row.final_quality == 0
    assert row.inner_steps < 6


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
