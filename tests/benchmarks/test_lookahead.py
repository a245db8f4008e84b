from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agents.acting import Planner, decide
from agents.baselines import make_baseline
from benchmarks.lookahead import Lookahead, find
from benchmarks.playing import Batch, play_batch
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.knobs import resolve

KNOBS = ("g_lr", "d_lr")
SMALL = {"inner_steps": 5, "episode_steps": 4, "batch_size": 16, "knobs": KNOBS, "instances": "test"}


def start(seed: int = 0, **arguments: Any) -> GANEnv:
    env = gym.make("GridGAN-v0", **{**SMALL, **arguments}).unwrapped
    assert isinstance(env, GANEnv)
    env.reset(seed=seed, options={"g_lr": 1e-3, "d_lr": 1e-3})
    return env


def test_the_table_keeps_and_turns_all_and_each() -> None:
    table = Lookahead(factor=4.0).table(resolve(KNOBS))
    assert len(table) == 2 * len(KNOBS) + 3
    assert not table[0].any()
    env = start()
    factors = set()
    for action in table[1:]:
        fork = env.fork()
        fork.turn(action)
        settings = fork.trainer.settings
        factors.add((round(settings.g_lr / 1e-3, 2), round(settings.d_lr / 1e-3, 2)))
    assert factors == {(4, 1), (1, 4), (0.25, 1), (1, 0.25), (4, 4), (0.25, 0.25)}


@pytest.mark.parametrize("horizon", [1, 2])
def test_takes_what_is_best_after_the_horizon_and_leaves_the_run_as_it_was(horizon: int) -> None:
    oracle, env = Lookahead(horizon=horizon), start(seed=1)
    table, qualities = oracle.table(env.knobs), []
    for action in table:
        fork = env.fork()
        for move in [action, *[np.zeros(2, np.float32)] * (horizon - 1)]:
            info = fork.step(move)[-1]
        qualities.append(info["quality"])
    twin = env.fork()
    action, state = oracle.plan(env, None)
    assert qualities[[row.tolist() for row in table].index(action.tolist())] == pytest.approx(
        max(qualities), abs=1e-3
    )
    assert oracle.spent(state) == len(table) * horizon * 5
    assert oracle.spent(oracle.plan(env, state)[1]) == 2 * oracle.spent(state)
    assert env.step(action)[-1] == twin.step(action)[-1]


def test_looks_no_further_than_the_end() -> None:
    oracle, env = Lookahead(horizon=3), start()
    for _ in range(3):
        env.step(np.zeros(2, np.float32))
    _, state = oracle.plan(env, None)
    assert oracle.spent(state) == len(oracle.table(env.knobs)) * 5


def test_never_walks_into_divergence() -> None:
    """Rates far beyond the knobs' limits are cut by a move, so only moves of both survive."""
    env = start()
    env.set_knobs({"g_lr": 1e30, "d_lr": 1e30})
    assert env.fork().step(np.zeros(2, np.float32))[-1]["diverged"]
    action, _ = Lookahead(horizon=1).plan(env, None)
    assert abs(action).min() > 0
    assert not env.step(action)[-1]["diverged"]


def test_is_compared_like_a_baseline_and_its_cost_is_counted() -> None:
    assert isinstance(find("lookahead"), Planner)
    assert find("cosine") == make_baseline("cosine")
    rows = play_batch(Batch("GridGAN-v0", SMALL, [(n, n, 0) for n in ("lookahead", "constant")]))
    spent = {row["agent"]: (row["inner_steps"], row["inner_steps_spent"]) for row in rows}
    assert spent == {"constant": (20, 20), "lookahead": (20, 20 + 7 * 5 * (2 + 2 + 2 + 1))}


def test_decides_as_it_plans() -> None:
    oracle, env = Lookahead(horizon=1), start(seed=2)
    planned = oracle.plan(env, None)
    observation, info = env.current()
    action, state = decide(oracle, env, observation, info, None)
    assert (action.tolist(), state) == (planned[0].tolist(), planned[1])


def test_environments_that_exist_step_together_as_they_would_alone() -> None:
    envs = [start(seed) for seed in range(3)]
    alone = [env.fork() for env in envs]
    actions = np.array([[0.2, 0.0], [0.0, -0.3], [0.1, 0.1]], np.float32)
    observations, rewards, _, infos = GANVectorEnv.of(envs).step_envs(actions)
    for i, env in enumerate(alone):
        observation, reward, _, _, info = env.step(actions[i])
        np.testing.assert_allclose(observations[i], observation, atol=1e-3)
        assert rewards[i] == pytest.approx(reward, abs=1e-3)
        assert infos[i]["instance_seed"] == info["instance_seed"]
