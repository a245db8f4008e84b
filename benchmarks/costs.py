"""The costs that `benchmarks.throughput` measures, one method a group of ratios."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.vec_env import SubprocVecEnv
from tqdm import tqdm

from benchmarks.env_groups import EnvGroup, group_builder
from benchmarks.plain_loop import PlainLoop
from benchmarks.timing import Ratio, side_by_side, stopwatch
from gan_gym.envs.gan_env import GANEnv
from gan_gym.gan import GANTrainer, Source, TrainerConfig, build_networks

N_WORKERS = 2
"""Workers of the SubprocVecEnv, one thread each."""
EPISODE_STEPS = 10_000
"""More env steps than are timed, so that no episode ends."""
N_IMPORTS = 5
"""Processes that import the package."""
IMPORT = """
import time
import gymnasium
start = time.perf_counter()
import gan_gym
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Scale:
    """How much is timed."""

    repeats: int = 15
    """Timed pairs of env steps a ratio."""
    trainer_repeats: int = 60
    """Timed pairs of trainer and plain loop a ratio: short and many, so that both are disturbed alike."""
    mlp_steps: int = 25
    """Inner steps of the MLP pair in a timed run."""
    conv_steps: int = 5
    """Inner steps of the convolutional pair in a timed run."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads the environments' overhead is measured with."""
    population: int = 32
    """GANs of a population; a multiple of `N_WORKERS`."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environments, where not the contract's defaults."""

    @property
    def n_pairs(self) -> int:
        """Timed pairs and processes in all, those that do not count included."""
        n_of_env_steps = 2 * len(self.threads) + 2
        return 5 * (self.trainer_repeats + 1) + n_of_env_steps * (self.repeats + 1) + N_IMPORTS


class Costs:
    """Measures one group of ratios after the other.

    Args:
        scale: how much is timed.
        device: where GANs are trained.
        bar: progress bar; one unit a timed pair.
    """

    def __init__(self, scale: Scale, device: torch.device, bar: tqdm[Any]) -> None:
        self.scale, self.device, self.bar = scale, device, bar
        self.ratios: dict[str, Ratio] = {}
        self.seconds: dict[str, float] = {}

    def _env(self, name: str) -> GANEnv:
        kwargs = {"device": str(self.device), "episode_steps": EPISODE_STEPS, **self.scale.env_kwargs}
        env = gym.make(f"gan_gym:{name}", **kwargs).unwrapped
        assert isinstance(env, GANEnv)
        env.reset(seed=0)
        return env

    def trainers(self) -> None:
        """Compare `GANTrainer` with plain loops on the networks and data of two environments."""
        for name, env_id, n_steps in (
            ("mlp", "GridGAN-v0", self.scale.mlp_steps),
            ("conv", "HistoGAN-v0", self.scale.conv_steps),
        ):
            env = self._env(env_id)
            source, batch_size = env.problem.source, env.config.batch_size
            forms: dict[str, dict[str, bool]] = {"": {}, "_ema": {"averaged": True}}
            if name == "conv":
                forms["_channels_last"] = {"channels_last": True}
            for suffix, form in forms.items():
                trainer = self._trainer(env.networks, source, batch_size)
                plain = self._plain(env.networks, source, batch_size, **form)
                self._compare(f"trainer_over_plain_{name}{suffix}", trainer.train, plain.train, n_steps)

    def _trainer(self, networks: str, source: Source, batch_size: int) -> GANTrainer:
        pair = build_networks(networks, source.shape, seed=0)
        return GANTrainer(*pair, source, TrainerConfig(batch_size=batch_size), device=self.device)

    def _plain(
        self,
        networks: str,
        source: Source,
        batch_size: int,
        *,
        averaged: bool = False,
        channels_last: bool = False,
    ) -> PlainLoop:
        pair = [network.to(self.device) for network in build_networks(networks, source.shape, seed=0)]
        if channels_last:
            pair = [network.to(memory_format=torch.channels_last) for network in pair]
        return PlainLoop(pair[0], pair[1], source, batch_size, averaged=averaged)

    def _compare(
        self, name: str, ours: Callable[[int], object], plain: Callable[[int], object], n_steps: int
    ) -> None:
        self.bar.set_description(name)
        first, second = side_by_side(
            lambda: ours(n_steps), lambda: plain(n_steps), self.scale.trainer_repeats, self.bar.update
        )
        self.ratios[name] = Ratio.of(first / second)
        self.seconds[f"{name}: trainer, inner step"] = float(np.median(first)) / n_steps
        self.seconds[f"{name}: plain loop, inner step"] = float(np.median(second)) / n_steps

    def overheads(self) -> None:
        """Split env steps at the contract's defaults into the GAN's updates and the rest."""
        for n_threads in self.scale.threads:
            suffix = "" if n_threads == 1 else f"_{n_threads}_threads"
            for name, env_id in (("grid", "GridGAN-v0"), ("histo", "HistoGAN-v0")):
                with threads(n_threads):
                    self._overhead(f"env_overhead_{name}{suffix}", self._env(env_id))

    def _overhead(self, name: str, env: GANEnv) -> None:
        self.bar.set_description(name)
        action = np.zeros(len(env.knobs), np.float32)
        steps, updates = [], []
        train = env.trainer.train

        def timed(n_steps: int) -> Any:
            updates.append(stopwatch(lambda: train(n_steps)))
            return env.trainer.statistics

        env.trainer.train = timed  # type: ignore[method-assign]
        for _ in range(self.scale.repeats + 1):  # the first does not count
            steps.append(stopwatch(lambda: env.step(action)))
            self.bar.update()
        whole, own = np.array(steps[1:]), np.array(updates[1:])
        self.ratios[name] = Ratio.of((whole - own) / whole)
        self.seconds[f"{name}: env step"] = float(np.median(whole))
        self.seconds[f"{name}: all but the GAN's updates"] = float(np.median(whole - own))

    def populations(self) -> None:
        """Compare a population of MLP GANs with as many single environments, in one process and in two."""
        n, env_id, kwargs = self.scale.population, "GridGAN-v0", self.scale.env_kwargs
        kwargs = {**kwargs, "episode_steps": EPISODE_STEPS}
        population = gym.make_vec(
            f"gan_gym:{env_id}", num_envs=n, vectorization_mode="vector_entry_point", **kwargs
        )
        population.reset(seed=0)
        actions = np.zeros(population.action_space.shape or (), np.float32)
        singles = EnvGroup(env_id, n, **kwargs)
        singles.reset(seed=0)
        self._speedup(
            "population32_over_single", lambda: singles.step(actions), lambda: population.step(actions)
        )
        share = n // N_WORKERS
        builders = [group_builder(env_id, share, **kwargs) for _ in range(N_WORKERS)]
        workers = SubprocVecEnv([*builders], start_method="spawn")
        try:
            workers.seed(0)
            workers.reset()
            parts = actions.reshape(N_WORKERS, share, -1)
            with threads(N_WORKERS):
                self._speedup(
                    "population32_over_subproc",
                    lambda: workers.step(parts),
                    lambda: population.step(actions),
                )
        finally:
            workers.close()

    def _speedup(self, name: str, slow: Callable[[], object], fast: Callable[[], object]) -> None:
        self.bar.set_description(name)
        first, second = side_by_side(slow, fast, self.scale.repeats, self.bar.update)
        self.ratios[name] = Ratio.of(first / second)
        self.seconds[f"{name}: others, env steps of all GANs"] = float(np.median(first))
        self.seconds[f"{name}: population, env steps of all GANs"] = float(np.median(second))

    def imports(self) -> None:
        """Time `import gan_gym` in fresh processes, Gymnasium's own import left out."""
        self.bar.set_description("import gan_gym")
        times = []
        for _ in range(N_IMPORTS):
            done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
            times.append(float(done.stdout))
            self.bar.update()
        self.seconds["import gan_gym, without gymnasium"] = float(np.median(times))


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
