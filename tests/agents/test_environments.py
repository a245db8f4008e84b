from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

import agents
import agents.cores
import agents.environments
from agents.cores import usable_cores
from agents.environments import DISCRETE_MOVES, Form, discrete_actions
from agents.population import PopulationVecEnv
from agents.workers import Kind
from gan_gym.knobs import DEFAULT_KNOBS

N_KNOBS = len(DEFAULT_KNOBS)
ID = "gan_gym:GridGAN-v0"
QUICK = {"inner_steps": 2, "episode_steps": 3, "batch_size": 16}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("GridGan-v0", "ppo"), "did you mean 'GridGAN-v0'"),
        (("CartPole-v1", "ppo"), "unknown environment 'CartPole-v1'"),
        (("GridGAN-v0", "pppo"), "did you mean 'ppo'"),
        (("GridGAN-v0", "ppo", 0), "n_envs is 0"),
    ],
)
def test_unknown_names_and_senseless_numbers_are_refused(arguments: tuple, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        agents.make_env(*arguments)


def test_a_senseless_number_of_processes_is_refused() -> None:
    with pytest.raises(ValueError, match="n_processes is -1"):
        agents.make_env("GridGAN-v0", "ppo", 2, n_processes=-1)


@pytest.mark.parametrize(
    ("n_envs", "networks", "device", "n_cores", "n_processes", "reason"),
    [
        (1, "light", "cpu", 8, 1, "nothing to share out"),
        (32, "mlp", "cpu", 1, 1, "one core"),
        (7, "mlp", "cpu", 8, 1, "fewer than 4 'mlp' GANs"),
        (8, "mlp", "cpu", 8, 2, "8 cores"),
        (32, "mlp", "cpu", 2, 2, "2 cores"),
        (32, "mlp", "cpu", 64, 8, "64 cores"),
        (2, "light", "cpu", 8, 2, "8 cores"),
        (8, "residual", "cpu", 2, 2, "2 cores"),
        (32, "mlp", "cuda", 16, 1, "one GPU"),
        (32, "light", "cuda", 16, 1, "one GPU"),
    ],
)
def test_the_fastest_form(
    n_envs: int, networks: str, device: str, n_cores: int, n_processes: int, reason: str
) -> None:
    form = Form.fastest(n_envs, networks, torch.device(device), n_cores)
    assert form.n_processes == n_processes
    assert reason in form.reason


def test_a_process_that_may_have_no_children_starts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(daemon=True))
    assert Form.fastest(32, "mlp", torch.device("cpu"), 2).n_processes == 1


def test_the_form_is_said_in_a_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(agents.environments, "usable_cores", lambda: 2)
    monkeypatch.setattr(
        agents.environments, "start_workers", lambda *a: started.append(a) or agents.make_env(ID, "ppo", 3)
    )
    with caplog.at_level(logging.INFO, "agents.environments"):
        agents.make_env("GridGAN-v0", "ppo", 33, **QUICK)
    assert caplog.messages == [
        "GridGAN-v0: 33 GANs in 2 processes, each a population of 16 or one more on 1 thread: "
        "there are 2 cores to use",
        f"{ID}: 3 GANs, one population in one process: "
        "a process for fewer than 4 'mlp' GANs gains too little",
    ]
    assert started == [([Kind(ID, 33, 2, QUICK)], None)]


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("", 8)]
)
def test_cores_are_those_that_affinity_and_a_container_leave(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(agents.cores, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores() == expected
    monkeypatch.setattr(agents.cores, "QUOTA", tmp_path / "none")
    assert usable_cores() == 8


def test_wrong_arguments_of_the_environment_are_refused_here() -> None:
    with pytest.raises(ValueError, match="did you mean 'g_lr'"):
        agents.make_env("GridGAN-v0", "ppo", 4, knobs=("g_lrr",))


def play(env: VecEnv, actions: np.ndarray) -> list:
    steps = [env.reset()]
    for step in actions:
        observations, rewards, dones, infos = env.step(step)
        steps.append((observations.copy(), rewards.copy(), dones.copy(), infos))
    env.close()
    return steps


def test_a_population_equals_single_environments() -> None:
    singles = DummyVecEnv([partial(gym.make, ID, instances="train", **QUICK)] * 3)
    singles.seed(7)
    population = agents.make_env("GridGAN-v0", "ppo", 3, seed=7, instances="train", **QUICK)
    assert isinstance(population, PopulationVecEnv)
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 3, N_KNOBS)).astype(np.float32)
    ours, theirs = play(population, actions), play(singles, actions)
    np.testing.assert_array_equal(ours[0], theirs[0])
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(mine[0], other[0], atol=2e-3)
        np.testing.assert_allclose(mine[1], other[1], atol=2e-3)
        np.testing.assert_array_equal(mine[2], other[2])
        for info, single in zip(mine[3], other[3], strict=True):
            for key in ("instance_seed", "loss", "env_step", "end", "n_images"):
                assert info[key] == single[key]
            if info["end"]:
                assert info["TimeLimit.truncated"] == single["TimeLimit.truncated"]
                np.testing.assert_allclose(
                    info["terminal_observation"], single["terminal_observation"], atol=2e-3
                )


def test_a_population_reports_whole_episodes() -> None:
    env = agents.make_env("GridGAN-v0", "ppo", 2, **QUICK)
    steps = play(env, np.zeros((6, 2, N_KNOBS), np.float32))
    for start in (1, 4):
        rewards = sum(step[1] for step in steps[start : start + 3])
        ends = [info["episode"] for info in steps[start + 2][3]]
        np.testing.assert_allclose([end["r"] for end in ends], rewards, atol=1e-6)
        assert [end["l"] for end in ends] == [3, 3]


@pytest.mark.parametrize("n_envs", [1, 2])
def test_discrete_algorithms_get_discrete_actions(n_envs: int) -> None:
    env = agents.make_env("GridGAN-v0", "dqn", n_envs, **QUICK)
    assert env.action_space == gym.spaces.Discrete(3**N_KNOBS)
    moves = discrete_actions(N_KNOBS)
    for index in (0, 40, 80):
        env.reset()
        observations, *_ = env.step(np.full(n_envs, index))
        np.testing.assert_allclose(observations[:, -N_KNOBS:], np.tile(moves[index], (n_envs, 1)), atol=1e-6)
    env.close()


def test_a_single_knob_may_be_given_by_its_bare_name() -> None:
    named, listed = (
        agents.make_env("GridGAN-v0", "dqn", knobs=knobs, **QUICK) for knobs in ("g_lr", ("g_lr",))
    )
    assert named.action_space == listed.action_space == gym.spaces.Discrete(3)
    for env in (named, listed):
        env.reset()
    for index in (0, 2):
        ours, theirs = (env.step(np.full(1, index))[0] for env in (named, listed))
        np.testing.assert_array_equal(ours, theirs)


def test_every_combination_of_moves_is_an_action() -> None:
    moves = discrete_actions(3)
    assert moves.shape == (27, 3)
    assert {tuple(move) for move in np.sign(moves).tolist()} == set(itertools.product((-1, 0, 1), repeat=3))
    assert set(moves.ravel().tolist()) == set(np.float32(DISCRETE_MOVES).tolist())


@pytest.fixture(scope="module")
def _imported_once() -> None:
    """Have the server that forks the workers import what they need."""
    multiprocessing.set_forkserver_preload(["gan_gym.envs.points", "stable_baselines3"])


def subproc(builders: list[Callable[[], gym.Env]]) -> tuple[np.ndarray, ...]:
    env = SubprocVecEnv(builders, start_method="forkserver")
    env.seed(3)
    first = env.reset()
    second, rewards, *_ = env.step(np.full((2, N_KNOBS), 0.5, np.float32))
    env.close()
    return first, second, rewards


def asynchronous(builders: list[Callable[[], gym.Env]]) -> tuple[np.ndarray, ...]:
    env = gym.vector.AsyncVectorEnv(builders, context="forkserver")
    first, _ = env.reset(seed=3)
    second, rewards, *_ = env.step(np.full((2, N_KNOBS), 0.5, np.float32))
    env.close()
    return first, second, rewards


@pytest.mark.usefixtures("_imported_once")
@pytest.mark.parametrize("vectorise", [subproc, asynchronous])
def test_environments_run_in_processes_of_their_own(vectorise: Callable) -> None:
    first, second, rewards = vectorise([partial(gym.make, ID, **QUICK)] * 2)
    for i in range(2):
        env = gym.make(ID, **QUICK)
        expected, _ = env.reset(seed=3 + i)
        np.testing.assert_allclose(first[i], expected, atol=1e-5)
        expected, reward, *_ = env.step(np.full(N_KNOBS, 0.5, np.float32))
        np.testing.assert_allclose(second[i], expected, atol=1e-3)
        np.testing.assert_allclose(rewards[i], reward, atol=1e-3)
