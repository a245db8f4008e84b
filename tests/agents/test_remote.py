"""Workers on a cluster of two machines, both of them this one, that are killed, stopped and taken away."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnvWrapper

import agents
from agents.config import FitControllerConfig
from agents.population import PopulationVecEnv
from agents.processes import WorkerDied
from agents.remote import N_RESTARTS, Placement, RayVecEnv
from agents.stopping import EXIT_RESUMABLE
from agents.workers import WorkersVecEnv
from tests.ray_clusters import end_without_head, start_patiently

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

QUICK: dict[str, Any] = {"instances": "train", "inner_steps": 2, "episode_steps": 3, "batch_size": 16}
N = 3


@pytest.fixture(scope="module")
def settings() -> Iterator[None]:
    """Ray's workers are as important as other processes, which would starve them on a busy machine."""
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ |= ours
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def machines(settings: None) -> Iterator[tuple[Any, list[Any]]]:
    """A cluster whose head trains nothing, and its two other machines."""
    from ray.cluster_utils import Cluster as Machines

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = start_patiently(Machines, initialize_head=True, head_node_args=head)
    nodes = [start_patiently(cluster.add_node, num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def started(machines: tuple[Any, list[Any]]) -> Iterator[RayVecEnv]:
    env = agents.make_env(
        "GridGAN-v0",
        "ppo",
        N,
        n_processes=2,
        remote="auto",
        placement=Placement(num_cpus=0.25, snapshot_every=2),  # all fit on one machine, once one is lost
        **QUICK,
    )
    assert isinstance(env, RayVecEnv)
    yield env
    env.close()


@pytest.fixture(scope="module")
def local() -> Iterator[WorkersVecEnv]:
    """The same workers as processes here."""
    env = agents.make_env("GridGAN-v0", "ppo", N, n_processes=2, **QUICK)
    assert isinstance(env, WorkersVecEnv)
    yield env
    env.close()


def _actions(n: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, N, 4)).astype(np.float32)


def _assert_steps_equal(remote: RayVecEnv, local: WorkersVecEnv, actions: np.ndarray) -> None:
    for action in actions:
        ours, theirs = remote.step(action), local.step(action)
        for mine, other in zip(ours[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(mine, other)
        assert repr(ours[3]) == repr(theirs[3])  # a terminal observation is an array
        assert remote.reset_infos == local.reset_infos


def _begin(remote: RayVecEnv, local: WorkersVecEnv) -> int:
    for env in (remote, local):
        env.seed(7)
    np.testing.assert_array_equal(remote.reset(), local.reset())
    return remote.n_restarts


def test_remote_workers_equal_processes(started: RayVecEnv, local: WorkersVecEnv) -> None:
    """Bit for bit, ends and new beginnings of episodes included."""
    before = _begin(started, local)
    _assert_steps_equal(started, local, _actions(5))
    assert started.n_restarts == before


@pytest.mark.parametrize("n_before", [1, 2, 3])
def test_a_worker_killed_within_a_step_comes_back(
    started: RayVecEnv, local: WorkersVecEnv, n_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Right after a snapshot, a step after it, and after an episode ended."""
    before = _begin(started, local)
    actions = _actions(n_before + 2)
    _assert_steps_equal(started, local, actions[:n_before])
    with caplog.at_level(logging.WARNING):
        os.kill(started.remote[0].pid(), signal.SIGKILL)
        _assert_steps_equal(started, local, actions[n_before:])
    assert started.n_restarts == before + 1
    assert "remote worker 1 of 2 was lost" in caplog.text


def _spare_pid(env: RayVecEnv) -> int:
    """Wait until the spare is ready; return its process."""
    deadline = time.monotonic() + 120
    while (pid := env.spare.pid()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return pid


def test_a_spare_takes_over_from_a_worker_that_was_killed(started: RayVecEnv, local: WorkersVecEnv) -> None:
    """Without the import of anything, so soon; and another spare is there for the next."""
    before, spare = _begin(started, local), _spare_pid(started)
    _assert_steps_equal(started, local, _actions(3)[:1])
    os.kill(started.remote[0].pid(), signal.SIGKILL)
    began = time.monotonic()
    _assert_steps_equal(started, local, _actions(3)[1:])
    assert time.monotonic() - began < 20
    assert started.remote[0].pid() == spare
    assert started.n_restarts == before + 1
    assert _spare_pid(started) != spare


def test_a_spare_that_is_dead_is_not_used(started: RayVecEnv, local: WorkersVecEnv) -> None:
    before, spare = _begin(started, local), _spare_pid(started)
    for pid in (spare, started.remote[0].pid()):
        os.kill(pid, signal.SIGKILL)
    _assert_steps_equal(started, local, _actions(2))
    assert started.n_restarts == before + 1


def test_a_worker_that_hangs_is_given_up_and_comes_back(
    started: RayVecEnv, local: WorkersVecEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, link = _begin(started, local), started.remote[1]
    _assert_steps_equal(started, local, _actions(1))
    hung, usual, come_back = link.pid(), link.placement, link._come_back

    def patiently() -> None:
        link.placement = usual
        come_back()

    monkeypatch.setattr(link, "placement", replace(usual, deadline_s=2.0))
    monkeypatch.setattr(link, "_come_back", patiently)  # which takes its time on a busy machine
    os.kill(hung, signal.SIGSTOP)
    _assert_steps_equal(started, local, _actions(2)[1:])
    assert started.n_restarts == before + 1
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)


def test_attributes_that_were_set_outlive_a_worker(started: RayVecEnv, local: WorkersVecEnv) -> None:
    for env in (started, local):
        env.set_attr("inner_steps", 1)
    before = _begin(started, local)
    os.kill(started.remote[0].pid(), signal.SIGKILL)
    _assert_steps_equal(started, local, _actions(2))
    assert started.get_attr("inner_steps") == [1] * N
    assert started.n_restarts == before + 1
    for env in (started, local):
        env.set_attr("inner_steps", QUICK["inner_steps"])


def test_what_a_call_raises_there_is_raised_here(started: RayVecEnv) -> None:
    before = started.n_restarts
    with pytest.raises(ValueError, match="g_lr"):
        started.env_method("set_knobs", {"g_lr": -1.0})
    assert started.n_restarts == before


class Disturbed(VecEnvWrapper):
    """Do something right after an env step was asked for, by its number from 1."""

    def __init__(self, venv: RayVecEnv, what: dict[int, Callable[[], object]]) -> None:
        super().__init__(venv)
        self.what, self.n_steps = what, 0

    def reset(self) -> Any:
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        self.venv.step_async(actions)
        self.n_steps += 1
        self.what.get(self.n_steps, lambda: None)()

    def step_wait(self) -> Any:
        return self.venv.step_wait()


def test_a_controller_is_the_same_whatever_is_lost_while_it_is_trained(
    started: RayVecEnv, local: WorkersVecEnv, machines: tuple[Any, list[Any]]
) -> None:
    """A worker is killed, then a machine is taken away, and the policy still ends bit for bit as without."""
    cluster, nodes = machines
    before = started.n_restarts
    disturbed = Disturbed(
        started,
        {
            2: lambda: os.kill(started.remote[0].pid(), signal.SIGKILL),
            5: lambda: cluster.remove_node(nodes.pop(), allow_graceful=False),
        },
    )
    ours, theirs = (
        agents.train("ppo", env, 8 * N, n_steps=4, batch_size=4 * N, seed=3) for env in (disturbed, local)
    )
    seen = np.random.default_rng(0).uniform(-1, 1, (16, *local.observation_space.shape)).astype(np.float32)
    np.testing.assert_array_equal(ours.predict(seen)[0], theirs.predict(seen)[0])
    assert disturbed.n_steps == 8
    assert started.n_restarts >= before + 2


def test_workers_need_no_path_to_their_patches(machines: tuple[Any, list[Any]], tmp_path: Path) -> None:
    """They are read here, once; equal to processes that read them for themselves, also after a loss."""
    rng = np.random.default_rng(0)
    data = tmp_path / "patches.npz"
    np.savez(data, train_images=rng.integers(0, 256, (80, 16, 16, 3), np.uint8))
    kwargs = {"data": str(data), "image_size": 16, "inner_steps": 1, "batch_size": 8, "device": "cpu"}
    local = agents.make_env("HistoGAN-v0", "ppo", 2, n_processes=2, **kwargs)
    local.reset()  # its processes have read the file
    placement = Placement(num_cpus=0.1, snapshot_every=1, spare=False)
    remote = agents.make_env(
        "HistoGAN-v0", "ppo", 2, n_processes=2, remote="auto", placement=placement, **kwargs
    )
    assert isinstance(remote, RayVecEnv)
    data.unlink()
    local.seed(0)
    np.testing.assert_array_equal(remote.reset(), local.reset())
    for killed in (False, True):
        before = remote.n_restarts
        if killed:
            os.kill(remote.remote[0].pid(), signal.SIGKILL)
        ours, theirs = (env.step(np.zeros((2, 4), np.float32)) for env in (remote, local))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
        assert remote.n_restarts >= before + killed
    for env in (remote, local):
        env.close()


def test_a_worker_that_is_lost_again_and_again_is_an_error(
    started: RayVecEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = started.remote[0]
    monkeypatch.setattr(link, "_come_back", lambda: None)
    os.kill(link.pid(), signal.SIGKILL)
    started.step_async(_actions(1)[0])
    with pytest.raises(WorkerDied, match=f"lost {N_RESTARTS + 1} times"):
        link.receive()
    started.close()


def test_workers_for_whom_there_is_no_machine_are_an_error(machines: tuple[Any, list[Any]]) -> None:
    placement = Placement(num_cpus=64, deadline_s=1.0, spare=False)
    with pytest.raises(WorkerDied, match="no machine has 64 CPU cores and 0 GPUs left"):
        agents.make_env("GridGAN-v0", "ppo", N, n_processes=2, remote="auto", placement=placement, **QUICK)


def test_a_head_that_is_lost_ends_a_training_that_can_be_resumed(settings: None, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster as Machines

    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = start_patiently(Machines, initialize_head=True, head_node_args=head)
    start_patiently(cluster.add_node, num_cpus=1)  # its workers live on, and go on answering
    options = {
        "env": "GridGAN-v0",
        "n_envs": 2,
        "ray": cluster.address,
        "workers": 1,
        "total_timesteps": 4000,
    }
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "agents.cli", "fit-controller", "--out", str(tmp_path / "out"), *given]

    def is_under_way() -> bool:
        return any(tmp_path.glob(".out.fit/seed_0.learning/*"))

    code, errors = end_without_head(command, cluster, is_under_way, within_s=200)
    assert code == EXIT_RESUMABLE, errors
    assert re.search(r"(the head of the Ray cluster|Ray on this machine) \(\S+:\d+\) is gone", errors)
    assert "--resume" in errors
    assert list(tmp_path.glob(".out.fit/seed_0.learning/*"))


def test_a_population_continues_bit_for_bit_from_its_snapshot() -> None:
    first, second = (agents.make_env("GridGAN-v0", "ppo", N, n_processes=1, **QUICK) for _ in range(2))
    assert isinstance(first, PopulationVecEnv)
    assert isinstance(second, PopulationVecEnv)
    first.seed(3)
    first.reset()
    for action in _actions(2):
        first.step(action)
    second.restore(first.snapshot())
    for action in _actions(4)[2:]:
        ours, theirs = second.step(action), first.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert repr(ours[3]) == repr(theirs[3])


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_cpus", -1), ("deadline_s", 0), ("snapshot_every", 0), ("num_gpus", float("nan"))],
)
def test_placements_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Placement(**{name: value})


def test_workers_without_a_cluster_are_refused() -> None:
    with pytest.raises(ValueError, match="give --ray"):
        FitControllerConfig(workers=4)
