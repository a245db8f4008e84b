from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.monitor import Monitor

import agents
from agents.environments import discrete_actions
from agents.faults import message_for_user
from agents.population import PopulationVecEnv
from agents.processes import WorkerDied, WorkerProcess
from agents.workers import Worker, WorkersVecEnv
from gan_gym.knobs import resolve

ID = "gan_gym:GridGAN-v0"
QUICK = {"instances": "train", "inner_steps": 2, "episode_steps": 3, "batch_size": 16}
N = 3


def in_processes(**kwargs: Any) -> WorkersVecEnv:
    env = agents.make_env("GridGAN-v0", "ppo", N, seed=7, n_processes=2, **{**QUICK, **kwargs})
    assert isinstance(env, WorkersVecEnv)
    return env


def in_this_process(**kwargs: Any) -> PopulationVecEnv:
    env = agents.make_env("GridGAN-v0", "ppo", N, seed=7, n_processes=1, **{**QUICK, **kwargs})
    assert isinstance(env, PopulationVecEnv)
    return env


@pytest.fixture(scope="module")
def started() -> Iterator[WorkersVecEnv]:
    env = in_processes()
    yield env
    env.close()


@pytest.fixture
def workers(started: WorkersVecEnv) -> WorkersVecEnv:
    """Three environments in two processes, started once for all tests that leave them alive."""
    started.seed(7)
    return started


class Direct:
    """A worker in this process, reached as if it were elsewhere."""

    def __init__(self, *arguments: Any) -> None:
        self.worker = Worker(*arguments)
        self.answers: list[Any] = []

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        self.answers.append(partial(getattr(self.worker, method), *args, **kwargs))

    def receive(self) -> Any:
        return self.answers.pop()()

    def close(self) -> None:
        self.worker.vector.close()


def direct(moves: np.ndarray | None = None, **kwargs: Any) -> WorkersVecEnv:
    return WorkersVecEnv([Direct(ID, share, moves, {**QUICK, **kwargs}) for share in (2, 1)], (2, 1))


def test_workers_equal_a_population_in_one_process(workers: WorkersVecEnv) -> None:
    population, single = in_this_process(), gym.make(ID, **QUICK)
    actions = np.random.default_rng(0).uniform(-1, 1, (5, N, 4)).astype(np.float32)
    observations = workers.reset()
    np.testing.assert_array_equal(observations, population.reset())
    np.testing.assert_array_equal(observations[2], single.reset(seed=7 + 2)[0])
    assert workers.reset_infos == population.reset_infos
    for action in actions:
        ours, theirs = workers.step(action), population.step(action)
        for mine, other in zip(ours[:3], theirs[:3], strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_allclose(mine, other, atol=2e-3)
        for info, other in zip(ours[3], theirs[3], strict=True):
            assert info.keys() == other.keys()
            for key in ("instance_seed", "loss", "env_step", "end", "n_images"):
                assert info[key] == other[key]
        ended = ours[2]
        for i in np.flatnonzero(ended):
            last, expected = ours[3][i], theirs[3][i]
            np.testing.assert_allclose(
                last["terminal_observation"], expected["terminal_observation"], atol=2e-3
            )
            assert last["episode"] == pytest.approx(expected["episode"], abs=2e-3)
            assert workers.reset_infos[i] == population.reset_infos[i]
        alone, reward, terminated, _, info = single.step(action[2])  # one GAN in its worker: bit for bit
        assert (ours[1][2], ended[2]) == (np.float32(reward), terminated)
        assert {key: ours[3][2][key] for key in info} == info
        alone = single.reset()[0] if terminated else alone
        np.testing.assert_array_equal(ours[0][2], alone)
    assert ours[3][0]["env_step"] == 2, "an episode of three steps ended and another began"


def test_seeds_and_options_reach_their_environment_once(workers: WorkersVecEnv) -> None:
    workers.seed(20)
    workers.set_options([{"g_lr": rate} for rate in (1e-3, 2e-3, 3e-3)])
    observations = workers.reset()
    rates = [info["g_lr"] for info in workers.reset_infos]
    assert rates == pytest.approx([1e-3, 2e-3, 3e-3])
    first = [info["instance_seed"] for info in workers.reset_infos]
    workers.reset()
    assert [info["instance_seed"] for info in workers.reset_infos] != first
    assert not set(rates) & {info["g_lr"] for info in workers.reset_infos}
    workers.seed(20)
    again = workers.reset()
    assert [info["instance_seed"] for info in workers.reset_infos] == first
    assert again.shape == observations.shape


@pytest.mark.parametrize("make", [in_this_process, direct])
def test_attributes_and_methods_are_those_of_the_environments_asked_for(make: Any) -> None:
    env = make(render_mode="rgb_array")
    env.reset()
    env.set_attr("episode_steps", 8, [2, 0])
    assert env.get_attr("episode_steps") == [8, 3, 8]
    assert env.get_attr("episode_steps", indices=1) == [3]
    env.env_method("set_knobs", {"d_lr": 0.01}, indices=[1])
    rates = [info["d_lr"] for _, info in env.env_method("current", indices=[2, 1, -1])]
    assert rates[1] == 0.01
    assert rates[0] == rates[2] != 0.01
    assert env.has_attr("inner_steps")
    assert not env.has_attr("outer_steps")
    assert env.env_is_wrapped(Monitor) == [True] * N
    assert env.env_is_wrapped(gym.Wrapper) == [False] * N
    frames = env.get_images()
    assert len(frames) == N
    assert env.render().dtype == np.uint8
    env.close()


def test_discrete_actions_are_the_moves_they_stand_for() -> None:
    moves = discrete_actions(4)
    env = direct(moves)
    assert env.action_space == gym.spaces.Discrete(len(moves))
    env.reset()
    observations, *_ = env.step(np.array([0, 80, 5]))
    np.testing.assert_allclose(observations[:, -4:], moves[[0, 80, 5]], atol=1e-6)


@pytest.mark.parametrize(
    "ask",
    [
        lambda env: env.step(np.full((N, 4), np.nan, np.float32)),
        lambda env: env.step(np.zeros((N, 2), np.float32)),
        lambda env: env.step(np.zeros((N - 1, 4), np.float32)),
        lambda env: (env.set_options({"g_lrr": 1.0}), env.reset()),
        lambda env: env.env_method("set_knobs", {"g_lr": -1.0}, indices=[2]),
    ],
)
def test_an_error_in_a_worker_is_the_error_here(workers: WorkersVecEnv, ask: Any) -> None:
    population = in_this_process()
    workers.reset(), population.reset()
    with pytest.raises(ValueError, match=r".") as expected:
        ask(population)
    with pytest.raises(ValueError, match=r".") as raised:
        ask(workers)
    assert str(raised.value) == str(expected.value)
    workers.reset()
    assert workers.step(np.zeros((N, 4), np.float32))[0].shape == (N, 33)


class Faulty:
    """What a worker may come upon."""

    def ours(self) -> None:
        resolve(())

    def of_a_library(self) -> None:
        np.zeros(2) + np.zeros(3)


@pytest.mark.parametrize("method", ["ours", "of_a_library"])
def test_only_messages_for_the_user_become_such(method: str) -> None:
    """Here it is raised again by a line of ours, whoever raised it there."""
    process = WorkerProcess(Faulty, "worker")
    process.send(method)
    with pytest.raises(ValueError, match=r".") as raised:
        process.receive()
    process.close()
    assert (message_for_user(raised.value) is not None) == (method == "ours")
    assert "In a worker process" in raised.value.__notes__[0]


def test_what_cannot_be_sent_is_said(workers: WorkersVecEnv) -> None:
    workers.reset()
    with pytest.raises(Exception, match="pickle") as raised:
        workers.env_method("__getattribute__", "problem", indices=0)
    assert "In a worker process" in raised.value.__notes__[0]
    assert workers.get_attr("episode_steps") == [3, 3, 3]


def test_answers_nobody_waited_for_are_dropped(workers: WorkersVecEnv) -> None:
    first = workers.reset()
    workers.step_async(np.zeros((N, 4), np.float32))
    workers.seed(7)
    np.testing.assert_array_equal(workers.reset(), first)


def test_a_dead_worker_is_named_and_takes_the_others_along() -> None:
    env = in_processes()
    env.reset()
    processes = [link.process for link in env.links if isinstance(link, WorkerProcess)]
    pids = [process.pid for process in processes]
    os.kill(pids[1] or 0, signal.SIGKILL)
    with pytest.raises(
        RuntimeError, match=r"worker 2 of 2 \(environments 2 to 2\) died \(signal SIGKILL\).*fewer n_envs"
    ):
        env.step(np.zeros((N, 4), np.float32))
    assert not any(alive(pid) for pid in pids)
    env.close()
    with pytest.raises(WorkerDied, match="was closed"):
        env.reset()


def alive(pid: int | None) -> bool:
    return Path(f"/proc/{pid}").exists()


SCRIPT = """
import signal
import numpy as np
import agents
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background inherit that it is ignored
env = agents.make_env("GridGAN-v0", "ppo", 2, n_processes=2, episode_steps=10_000)
env.reset()
print(*[link.process.pid for link in env.links], flush=True)
while True:
    env.step(np.zeros((2, 4), np.float32))
"""


def test_a_plain_script_can_be_interrupted_and_leaves_no_process(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(agents.__file__).parents[1])}
    running = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    assert running.stdout is not None
    pids = [int(pid) for pid in running.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode != 0
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    for _ in range(100):
        if not any(alive(pid) for pid in pids):
            break
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
