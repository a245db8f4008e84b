from __future__ import annotations

import numpy as np
import pytest

import agents
from agents import ALGOS, Controller
from agents.algorithms import find

OFF_POLICY = {"learning_starts": 64, "batch_size": 64, "learning_rate": 3e-3}
VALUES = OFF_POLICY | {"target_update_interval": 50}
BUDGETS = {
    "a2c": (8, 6000, {"learning_rate": 3e-3}),
    "ddpg": (1, 400, OFF_POLICY),
    "dqn": (4, 2000, VALUES),
    "ppo": (8, 5000, {}),
    "sac": (1, 450, OFF_POLICY),
    "td3": (1, 400, OFF_POLICY),
    "ars": (8, 20_000, {"n_delta": 8}),
    "crossq": (1, 600, OFF_POLICY | {"learning_rate": 1e-2, "policy_delay": 1}),
    "qrdqn": (4, 2000, VALUES),
    "recurrent_ppo": (8, 5000, {}),
    "tqc": (1, 450, OFF_POLICY),
    "trpo": (8, 5000, {}),
}
"""Environments, env steps, and settings for so short a time."""

BLIND = 0.2
"""Reward of the best policy that does not look; uniform actions get 0.18, the best policy nearly 1."""


def test_every_algorithm_is_tested() -> None:
    assert set(BUDGETS) == set(ALGOS)


@pytest.mark.parametrize("algo", sorted(ALGOS))
def test_learns_saves_loads_and_predicts_the_same(algo, toy, tmp_path) -> None:
    n_envs, n_steps, settings = BUDGETS[algo]
    env = toy(algo, n_envs)
    controller = agents.train(algo, env, n_steps, seed=0, **settings)
    assert env.score(controller.predict) > 2 * BLIND
    assert controller.card["total_timesteps"] == n_steps
    controller.save(tmp_path / "controller")
    again = Controller.load(tmp_path / "controller")
    observations = np.random.default_rng(0).uniform(-1, 1, (16, 33)).astype(np.float32)
    state = other = None
    for row in observations:
        action, state = controller.predict(row, state)
        same, other = again.predict(row, other)
        assert action.dtype == np.float32
        assert action.shape == (4,)
        assert np.abs(action).max() <= 1
        np.testing.assert_array_equal(action, same)
    assert state == other
    batch, _ = controller.predict(observations)
    assert batch.shape == (16, 4)


def test_an_unknown_algorithm_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'ppo'"):
        find("pppo")
