"""Sweeps on a cluster of two machines, both of them this one, whose tasks and machines are taken away."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.controller import Controller
from agents.processes import WorkerDied
from agents.stopping import EXIT_RESUMABLE
from benchmarks import sweeping
from benchmarks.compare import main
from benchmarks.comparison_rows import read_rows
from benchmarks.sweeping import cluster_workers
from tests.ray_clusters import end_without_head, start_patiently

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

TINY = {"inner_steps": 1, "episode_steps": 2, "batch_size": 8}
BASE = ["--env", "RingGAN-v0", "--episodes", "2", "--processes", "1", "--env_kwargs", json.dumps(TINY)]
SHARED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_task_retry_delay_ms": "0",
}


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A cluster whose head trains nothing, and its two other machines."""
    from ray.cluster_utils import Cluster as Machines

    with pytest.MonkeyPatch.context() as patch:
        for name, value in SHARED.items():
            patch.setenv(name, value)
        head = {"num_cpus": 0, "include_dashboard": False}
        cluster = start_patiently(Machines, initialize_head=True, head_node_args=head)
        for _ in range(2):
            start_patiently(cluster.add_node, num_cpus=1, num_gpus=1)
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def compare(out: Path, *arguments: str, agents: tuple[str, ...] = (), baselines: tuple[str, ...] = ()) -> int:
    return main([*BASE, "--out", str(out), *arguments, "--agents", *agents, "--baselines", *baselines])


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the rows without the commands they were made by, in an order that does not depend on these."""
    rows = read_rows(out / "results.jsonl")
    for row in rows:
        del row["command"]
    return sorted(rows, key=lambda row: json.dumps([row["setting"], row["agent"], row["seed"]]))


def times(file: Path) -> int:
    """Count a call in a file, the first included."""
    with file.open("a") as stream:
        stream.write("x")
    return file.stat().st_size


@pytest.mark.usefixtures("machines")
def test_rows_equal_those_of_this_machine_and_none_is_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Controllers of folders that are named from here among them; half of the rows are there before."""
    monkeypatch.chdir(tmp_path)
    Controller.load("pretrained").save(Path("mine"))
    asked = ("--setting", "default", "outside", "larger")
    names: dict[str, tuple[str, ...]] = {"agents": ("mine",), "baselines": ("random", "pbt")}
    assert compare(Path("here"), *asked, **names) == 0
    assert compare(Path("there"), *asked[:2], **names) == 0
    before = Path("there/results.jsonl").read_text()
    assert compare(Path("there"), *asked, "--ray", "auto", **names) == 0
    assert Path("there/results.jsonl").read_text().startswith(before)
    assert rows_of(Path("there")) == rows_of(Path("here"))
    assert len(rows_of(Path("there"))) == 3 * 3 * 2
    whole = Path("there/results.jsonl").read_text()
    monkeypatch.setattr(sweeping, "cluster_workers", None)
    assert compare(Path("there"), *asked, "--ray", "auto", **names) == 0, "what is done needs no cluster"
    assert Path("there/results.jsonl").read_text() == whole


@pytest.mark.usefixtures("machines")
def test_algorithms_are_trained_on_the_cluster_once(tmp_path: Path) -> None:
    training = ("--total_timesteps", "24", "--n_envs", "2", "--seeds", "2")
    assert compare(tmp_path / "there", *training, "--ray", "auto", agents=("a2c",)) == 0
    assert compare(tmp_path / "here", *training, agents=("a2c",)) == 0
    here, there = rows_of(tmp_path / "here"), rows_of(tmp_path / "there")
    assert len(here) == 2 * 2
    assert [row["final_quality"] for row in here] == [row["final_quality"] for row in there]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "there").rglob("controller.json")}
    assert len(made) == 2
    assert compare(tmp_path / "there", *training, "--ray", "auto", agents=("a2c",), baselines=("ada",)) == 0
    assert made == {path: path.stat().st_mtime_ns for path in made}


@pytest.mark.usefixtures("machines")
def test_a_job_whose_process_dies_is_begun_anew(tmp_path: Path) -> None:
    def dies_once(name: str) -> str:
        if times(tmp_path / name) == 1 and name == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        return name

    with cluster_workers("auto", dies_once) as work:
        assert sorted(work(["a", "b", "c"])) == ["a", "b", "c"]
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {"a": 1, "b": 2, "c": 1}


@pytest.mark.usefixtures("machines")
def test_a_job_that_is_lost_again_and_again_keeps_none_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(name: str) -> str:
        times(tmp_path / name)
        if name == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        return name

    monkeypatch.setattr(sweeping, "PATIENCE_S", 0.0)
    monkeypatch.setattr(sweeping, "N_RETRIES", 1)
    done: list[str] = []
    with (
        cluster_workers("auto", dies) as work,
        pytest.raises(WorkerDied, match="1 of 3 tasks were lost 2 times"),
    ):
        done.extend(work(["a", "b", "c"]))
    assert sorted(done) == ["a", "c"]
    assert (tmp_path / "b").stat().st_size == 2


@pytest.mark.usefixtures("machines")
def test_what_a_job_raises_is_raised_here_at_once(tmp_path: Path) -> None:
    def refuses(name: str) -> str:
        times(tmp_path / name)
        raise ValueError(f"{name} is wrong")

    with pytest.raises(ValueError, match="a is wrong"), cluster_workers("auto", refuses) as work:
        list(work(["a"]))
    assert (tmp_path / "a").stat().st_size == 1


@pytest.mark.usefixtures("machines")
def test_a_task_holds_the_share_of_a_gpu_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    def held(_: int) -> Any:
        return ray.get_runtime_context().get_assigned_resources()

    with cluster_workers("auto", held, num_gpus=0.25) as work:
        assert list(work([0])) == [{"CPU": 1.0, "GPU": 0.25}]
    assert not caplog.records
    with caplog.at_level(logging.WARNING), cluster_workers("auto", held, num_gpus=2):
        assert "the 2 GPU that a task holds" in caplog.text


def test_a_machine_that_is_lost_is_survived(machines: Any, tmp_path: Path) -> None:
    def on_a_machine(name: str) -> str:
        if times(tmp_path / name) == 1 and name == "a":
            (tmp_path / "where").write_text(ray.get_runtime_context().get_node_id())
            time.sleep(600)
        return name

    def take_away() -> None:
        while not (tmp_path / "where").is_file() or not (tmp_path / "where").read_text():
            time.sleep(0.1)
        lost = (tmp_path / "where").read_text()
        node = next(node for node in machines.worker_nodes if node.node_id == lost)
        machines.remove_node(node, allow_graceful=False)

    taker = threading.Thread(target=take_away)
    taker.start()
    try:
        with cluster_workers("auto", on_a_machine) as work:
            assert sorted(work(["a", "b", "c"])) == ["a", "b", "c"]
    finally:
        taker.join()
        machines.add_node(num_cpus=1, num_gpus=1)
    assert (tmp_path / "a").stat().st_size == 2


def test_a_head_that_is_lost_ends_a_sweep_that_goes_on(machines: Any, tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster as Machines

    of_head = {"num_cpus": 1, "include_dashboard": False}
    head = start_patiently(Machines, initialize_head=True, head_node_args=of_head)
    quick, slow = {**TINY, "inner_steps": 10}, ["--setting", "default", "pacgan", "--fraction", "1"]
    command = [*BASE[:-1], json.dumps(quick), "--out", str(tmp_path), *slow, "--agents", "--baselines", "ada"]
    file = tmp_path / "results.jsonl"
    call = [sys.executable, "-m", "benchmarks.compare", *command, "--ray", head.address]
    code, errors = end_without_head(call, head, file.is_file, within_s=120)
    assert code == EXIT_RESUMABLE, errors
    last = errors.splitlines()[-1]
    assert re.match(r"error: (the head of the Ray cluster|Ray on this machine) \(\S+:\d+\) is gone", last)
    assert last.endswith(f"{tmp_path} holds what is done")
    before = file.read_text()
    assert [row["setting"] for row in read_rows(file)] == ["default"] * 2
    shorter = [*command, "--ray", "auto"]
    shorter[shorter.index("1", shorter.index("--fraction"))] = "0.0001"
    assert main(shorter) == 0
    assert file.read_text().startswith(before)
    assert [row["setting"] for row in read_rows(file)] == ["default"] * 2 + ["pacgan"] * 2


def test_without_ray_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agents.cluster.find_spec", lambda name: None)
    assert compare(tmp_path, "--ray", "local", baselines=("constant",)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: Ray is not installed")
    assert "gan-gym[ray]" in error
