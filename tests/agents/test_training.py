from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

import agents
from agents import ALGOS
from agents.cores import usable_cores
from agents.sizing import MIN_COMPILED, fitting_defaults, n_envs_that_fit, worth_compiling

QUICK = {"inner_steps": 1, "episode_steps": 3}


def global_states() -> tuple:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.mark.parametrize("algo", ["ppo", "sac", "recurrent_ppo", "ars", "dqn"])
def test_training_and_prediction_leave_the_global_random_states_alone(algo, toy) -> None:
    before = global_states()
    controller = agents.train(algo, toy(algo, 2), 100, seed=3)
    observation = np.zeros(33, np.float32)
    controller.predict(observation)
    controller.predict(observation, deterministic=False)
    assert global_states() == before


def weights(controller: agents.Controller) -> list:
    return [value.tolist() for value in controller.policy.state_dict().values()]


@pytest.mark.parametrize("algo", ["ppo", "td3"])
def test_equal_seeds_give_equal_controllers_and_others_differ(algo, toy) -> None:
    first, same, other = (agents.train(algo, toy(algo, 2, seed=seed), 600, seed=seed) for seed in (0, 0, 1))
    assert weights(first) == weights(same)
    np.testing.assert_array_equal(first.mean, same.mean)
    assert weights(first) != weights(other)


def test_trains_on_an_id_and_says_where_it_comes_from(tmp_path) -> None:
    controller = agents.train(
        "ppo", "GridGAN-v0", 6, n_envs=2, seed=5, env_kwargs=QUICK, log_dir=tmp_path, n_steps=3, batch_size=6
    )
    assert controller.card["environment"] == "GridGAN-v0"
    assert controller.card["env_kwargs"]["instances"] == "train"
    assert controller.card["seed"] == 5
    assert controller.card["n_processes"] == 1
    assert json.loads(json.dumps(controller.card)) == controller.card
    assert list(tmp_path.glob("events.*"))


def test_knobs_reach_the_controller() -> None:
    knobs = ("g_update_ratio", "augment_p")
    controller = agents.train("a2c", "GridGAN-v0", 3, env_kwargs=QUICK | {"knobs": knobs}, n_steps=3)
    assert controller.knobs == knobs
    assert controller.predict(np.zeros(29, np.float32))[0].shape == (2,)


@pytest.mark.parametrize("knobs", [("g_lr", "d_lr"), ("g_lr", "d_lr", "instance_noise", "beta1")])
def test_knobs_of_a_vector_environment_made_before_reach_the_controller(knobs) -> None:
    vector = agents.make_env("GridGAN-v0", "a2c", 2, knobs=knobs, **QUICK)
    controller = agents.train("a2c", vector, 6, n_steps=3)
    assert controller.knobs == knobs
    assert controller.card["env_kwargs"] == {}
    vector.close()


@pytest.mark.parametrize("algo", ["td3", "ddpg"])
def test_deterministic_policies_explore(algo, toy, monkeypatch) -> None:
    """Once their first actions, which are random, are over."""
    vector, done = toy(algo, 2), []
    real = vector.step_async
    monkeypatch.setattr(vector, "step_async", lambda moves: (done.append(moves.copy()), real(moves)))
    controller = agents.train(algo, vector, 60, learning_starts=0, learning_rate=0.0)
    moves, greedy = np.stack(done), controller.predict(np.zeros(33, np.float32))[0]
    assert moves.shape == (30, 2, 4)
    assert 0.1 < moves[5:].std(0).mean() < 0.4
    assert np.abs(moves).max() <= 1
    assert np.isfinite(greedy).all()


def test_a_single_knob_may_be_given_by_its_bare_name() -> None:
    controller = agents.train("a2c", "GridGAN-v0", 3, env_kwargs=QUICK | {"knobs": "g_lr"}, n_steps=3)
    assert controller.knobs == ("g_lr",)


@pytest.mark.parametrize("n_envs", [1, 3, 6])
@pytest.mark.parametrize("algo", ["ppo", "trpo", "recurrent_ppo"])
def test_batches_divide_the_rollouts(algo, n_envs) -> None:
    defaults = fitting_defaults(ALGOS[algo], n_envs)
    assert defaults["n_steps"] * n_envs % defaults["batch_size"] == 0
    assert 40 <= defaults["batch_size"] <= 160


@pytest.mark.parametrize(
    ("networks", "n_steps", "total_timesteps", "expected"),
    [
        ("mlp", 40, 128, 1),
        ("mlp", 40, 40 * 10 * 7, 7),
        ("mlp", 40, 100_000, 32),
        ("mlp", None, 100_000, 1),
        ("light", 40, 100_000, usable_cores()),
    ],
    ids=["too short", "short", "long", "without rollouts", "images"],
)
def test_environments_are_added_where_that_helps(networks, n_steps, total_timesteps, expected) -> None:
    assert n_envs_that_fit(networks, n_steps, total_timesteps) == expected


def test_long_trainings_on_small_networks_are_compiled_where_there_is_a_compiler(monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    assert worth_compiling("mlp", 2, MIN_COMPILED)
    assert not worth_compiling("mlp", 2, MIN_COMPILED - 1)
    assert not worth_compiling("light", 2, MIN_COMPILED)
    assert not worth_compiling("mlp", 1, MIN_COMPILED)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not worth_compiling("mlp", 2, MIN_COMPILED)


@pytest.mark.parametrize("n_steps", [0, -1, 2.5])
def test_a_senseless_number_of_steps_is_refused(n_steps, toy) -> None:
    with pytest.raises(ValueError, match="total_timesteps is"):
        agents.train("ppo", toy("ppo", 1), n_steps)


def test_a_vector_environment_of_the_caller_stays_open(toy) -> None:
    env = toy("a2c", 1)
    env.close = lambda: pytest.fail("closed what the caller owns")
    agents.train("a2c", env, 10)


def test_an_environment_of_ours_is_closed_also_where_training_fails(monkeypatch, toy) -> None:
    closed = []
    env = toy("ppo", 2)
    env.close = lambda: closed.append(True)
    monkeypatch.setattr(agents.training, "make_env", lambda *_, **__: env)
    before = global_states()
    with pytest.raises(TypeError, match="n_stepps"):
        agents.train("ppo", "GridGAN-v0", 10, n_stepps=3)
    assert closed == [True]
    assert global_states() == before
