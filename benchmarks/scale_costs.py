"""What the engine costs on this machine: messages, workers, snapshots, restarts, the agent, the data."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import agents
from agents.cluster import Cluster
from agents.hosts import pack, unpack
from agents.remote import Placement, RayVecEnv
from agents.shared_patches import share_patches
from agents.workers import Kind, Worker, WorkersVecEnv
from benchmarks.ppo_costs import StepClock
from benchmarks.scale_workers import sleeping, step_times
from gan_gym.envs.histogan import HistoGANEnv

Figures = dict[str, Any]

N_WORKERS = 4
"""Workers whose efficiency is measured."""
WIDTHS = (1, 2, 4, 8)
"""Numbers of workers by which what each adds to an env step is measured."""
SLEEPS = (0.01, 0.03, 0.1, 0.3)
"""Seconds of the env steps at which efficiency is measured."""
N_GANS = 8
"""GANs of a sleeping worker, whose infos and observations its message carries."""
PPO_STEPS = 40
"""Env steps of each GAN in a rollout of PPO."""


def messages(cluster: Cluster, repeats: int) -> Figures:
    """Time env steps that take no time: there and back by one worker, and what each further one adds."""
    with sleeping(None, 1, N_GANS, 0.0) as env:
        here = float(np.median(step_times(env, repeats)))
    medians = []
    for n in WIDTHS:
        with sleeping(cluster, n, N_GANS, 0.0) as env:
            medians.append(float(np.median(step_times(env, repeats))) - here)
    slope, start = np.polyfit(WIDTHS, medians, 1)
    return {
        "one_ms": 1e3 * medians[0],
        "each_ms": 1e3 * slope,
        "latency_ms": 1e3 * max(start, 0.0),
        "by_workers_ms": dict(zip(map(str, WIDTHS), (1e3 * m for m in medians), strict=True)),
    }


def efficiency(cluster: Cluster, repeats: int) -> Figures:
    """Time `N_WORKERS` sleeping workers beside one in this process, for env steps of several lengths."""
    found = {}
    for seconds in SLEEPS:
        with sleeping(None, 1, N_GANS, seconds) as env:
            here = float(np.median(step_times(env, repeats)))
        with sleeping(cluster, N_WORKERS, N_GANS, seconds) as env:
            found[f"{1e3 * seconds:.0f}"] = here / float(np.median(step_times(env, repeats)))
    return found


def whole(cluster: Cluster, repeats: int) -> Figures:
    """Count the CPU time of an env step of real GANs: this process and two workers, remote and local."""
    found = {}
    for name, remote in (("local", None), ("remote", "auto")):
        placement = None if remote is None else Placement(num_cpus=0, spare=False)
        env = agents.make_env("GridGAN-v0", "ppo", 8, n_processes=2, remote=remote, placement=placement)
        assert isinstance(env, WorkersVecEnv)
        try:
            env.reset()
            pids = [link.pid() for link in env.remote] if isinstance(env, RayVecEnv) else []
            pids += [link.process.pid for link in env.links if hasattr(link, "process")]
            step_times(env, 3)
            began = [_cpu_seconds(pid) for pid in (os.getpid(), *pids)]
            step_times(env, repeats)
            ended = [_cpu_seconds(pid) for pid in (os.getpid(), *pids)]
            found[f"{name}_ms"] = 1e3 * (sum(ended) - sum(began)) / (repeats + 3)
        finally:
            env.close()
    return found | {"ratio": found["remote_ms"] / found["local_ms"]}


def env_steps(cluster: Cluster, repeats: int) -> Figures:
    """Time an env step of one patch GAN at the contract's defaults, on one thread of this CPU."""
    torch.set_num_threads(1)
    worker = Worker("gan_gym:HistoGAN-v0", 1, None, {"device": "cpu"})
    worker.reset([0], [{}])
    n = max(repeats // 20, 2)
    return {"histo_s": _median_ms(partial(worker.step, np.zeros((1, 4), np.float32)), n) / 1e3}


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far; needs Linux's `/proc`."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def snapshots(cluster: Cluster, repeats: int) -> Figures:
    """Measure snapshots of one GAN of each family: the size, the making, and the taking in."""
    found = {}
    for name, env_id in (("mlp", "gan_gym:GridGAN-v0"), ("conv", "gan_gym:HistoGAN-v0")):
        worker = Worker(env_id, 1, None, {"inner_steps": 1, "device": "cpu"})
        worker.reset([0], [{}])
        worker.step(np.zeros((1, 4), np.float32))
        found[name] = _snapshot(cluster, worker, repeats)
    return found


def _snapshot(cluster: Cluster, worker: Worker, repeats: int) -> Figures:
    message = pack(worker.snapshot())
    stored = cluster.ray.put(message)
    return {
        "mb": len(message) / 1e6,
        "made_ms": _median_ms(lambda: pack(worker.snapshot()), repeats),
        "unpacked_ms": _median_ms(lambda: unpack(cluster.ray.get(stored)), repeats),
    }


def _median_ms(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def restarts(cluster: Cluster, repeats: int) -> Figures:
    """Kill a worker and time the env step in which it comes back, without and with a spare."""
    found = {}
    for name, spare in (("cold", False), ("spare", True)):
        placement = Placement(num_cpus=0, spare=spare)
        kinds = [Kind("gan_gym:GridGAN-v0", N_GANS, 1, {"inner_steps": 1})]
        env = RayVecEnv(kinds, address="auto", placement=placement)
        try:
            env.reset()
            usual, times = float(np.median(step_times(env, 10))), []
            for _ in range(repeats):
                while spare and env.spare.pid() is None:
                    time.sleep(0.2)
                step_times(env, 1)  # once more, as the spare's imports have only just ended
                os.kill(env.remote[0].pid(), signal.SIGKILL)
                began = time.perf_counter()
                env.step(np.zeros((N_GANS, 4), np.float32))
                times.append(time.perf_counter() - began - usual)
            found[f"{name}_s"] = float(np.median(times))
        finally:
            env.close()
    return found


def agent(cluster: Cluster, repeats: int) -> Figures:
    """Time what PPO adds to env steps that take no time, for one env step of one GAN."""
    found = {}
    for n in (8, 64):
        total = PPO_STEPS * n
        with sleeping(None, 1, n, 0.0) as env:
            clock = StepClock(env)
            for _ in range(2):  # the first does not count
                agents.train("ppo", clock, total, n_steps=PPO_STEPS, batch_size=total // 4)
                took = time.perf_counter() - clock.began[0] - sum(clock.ended) + sum(clock.began)
            found[f"of_{n}_ms"] = 1e3 * took / total
    return found


def data(cluster: Cluster, folder: Path, image_size: int, n_workers: int) -> Figures:
    """Read patches in each worker, and once for all: seconds, and memory that a worker shares with none."""
    ray = cluster.ray
    kwargs = {"data": str(folder), "image_size": image_size, "device": "cpu"}
    kind = Kind("gan_gym:HistoGAN-v0", n_workers, n_workers, kwargs)
    found: Figures = {}
    began = time.perf_counter()
    stored = share_patches(cluster, kind)
    found["read_and_stored_s"] = time.perf_counter() - began
    found["mb"] = ray.get(stored).nbytes / 1e6
    for name, given in (("each", None), ("shared", stored)):
        readers = [ray.remote(_Reader).options(num_cpus=0).remote() for _ in range(n_workers)]
        before = ray.get([reader.own_mb.remote() for reader in readers])
        began = time.perf_counter()
        ray.get([reader.read.remote(kwargs, given) for reader in readers])
        found[f"{name}_s"] = time.perf_counter() - began
        after = ray.get([reader.own_mb.remote() for reader in readers])
        found[f"{name}_mb"] = float(np.median(np.subtract(after, before)))
        for reader in readers:
            ray.kill(reader)
    return found


class _Reader:
    """Reads patches where a worker would, all of them once."""

    def __init__(self) -> None:
        self.images: Any = None

    def read(self, kwargs: dict[str, Any], images: Any) -> None:
        if images is None:
            images = HistoGANEnv(**kwargs).load().images.numpy()
        self.images = images
        images.sum()

    def own_mb(self) -> float:
        """Return the memory that no other process shares."""
        rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
        own = [int(row.split()[1]) for row in rows if row.startswith("Private")]
        return sum(own) / 1e3


GROUPS: Sequence[Callable[[Cluster, int], Figures]] = (
    messages,
    efficiency,
    whole,
    env_steps,
    snapshots,
    restarts,
    agent,
)
"""What is measured, in order; the repeats are those of one figure."""


def measure(cluster: Cluster, repeats: int, folder: Path | None, image_size: int) -> Figures:
    """Measure all groups, and the data where there is a folder."""
    found: Figures = {}
    for group in tqdm(GROUPS, unit="group"):
        n = max(repeats // 20, 1) if group is restarts else repeats
        found[group.__name__] = group(cluster, n)
    if folder is not None:
        found["data"] = data(cluster, folder, image_size, N_WORKERS)
    return found
