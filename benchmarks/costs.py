"""What the groups of `benchmarks.throughput` share: how much is timed, and where figures are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agents.environments import make_one
from benchmarks.timing import Ratio
from gan_gym.envs.gan_env import GANEnv
from gan_gym.gan import GANTrainer, Source, TrainerConfig, build_networks

FAMILIES = {"mlp": "GridGAN-v0", "conv": "HistoGAN-v0"}
"""The environments whose networks, data and batch size stand for a family of GANs."""
START_METHOD = "forkserver"
"""How worker processes are started: forked from one that has imported everything, so soon and with shared
memory."""
EPISODE_STEPS = 10_000
"""More env steps than are timed, so that no episode spends its budget."""

Values = NDArray[np.float64]
"""`(repeats,)` figures of one thing."""


@dataclass(frozen=True)
class Scale:
    """How much is timed; the defaults are those of a full run on a CPU."""

    repeats: int = 10
    """Timed rounds a ratio, where not said otherwise."""
    trainer_repeats: int = 60
    """Timed pairs of trainer and plain loop a ratio: short and many, so that both are disturbed alike."""
    inner_steps: dict[str, int] = field(default_factory=lambda: {"mlp": 25, "conv": 5})
    """Inner steps in a timed run of trainers, by family."""
    threads: tuple[int, ...] = (1, 2)
    """Numbers of threads the environments' overhead is measured with."""
    populations: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"mlp": (1, 4, 16, 32, 64), "conv": (1, 4, 16)}
    )
    """GANs of a population, by family."""
    population_repeats: dict[str, int] = field(default_factory=lambda: {"mlp": 10, "conv": 5})
    """Timed rounds of populations, by family."""
    population_kwargs: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"mlp": {}, "conv": {"inner_steps": 5}}
    )
    """Arguments of the environments in populations, where not the contract's defaults."""
    most_workers: int = 64
    """GANs above which `AsyncVectorEnv`, a process a GAN, is left out."""
    memory: dict[str, int] = field(default_factory=lambda: {"mlp": 64, "conv": 8})
    """GANs n whose memory is compared with that of 2n, by family."""
    rollouts: dict[int, int] = field(default_factory=lambda: {32: 40, 1: 40})
    """Env steps of each environment in a rollout of PPO, by number of environments; two entries."""
    compiled: bool = True
    """Whether PPO learns from GANs with compiled updates too, which takes a minute before it is timed."""
    controller_repeats: int = 5
    """Timed rollouts."""
    image_sizes: tuple[int, ...] = (32, 64, 128, 256)
    """Pixels a side."""
    batch_sizes: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"mlp": (16, 64, 256, 1024), "conv": (8, 16, 32, 64, 128)}
    )
    """Samples of a batch, by family."""
    n_patches: tuple[int, ...] = (10**3, 10**4, 10**5, 10**6)
    """Patches of a memory-mapped data set."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of all environments, where not the contract's defaults."""

    def on(self, device: torch.device) -> Scale:
        """Return the scale for a device: a GPU takes larger convolutional populations at the full env step.

        Worker processes are fewer there, as each has a CUDA context of its own.
        """
        if device.type == "cpu":
            return self
        return replace(
            self,
            populations={**self.populations, "conv": self.populations["mlp"]},
            population_kwargs={family: {} for family in FAMILIES},
            most_workers=4,
            memory=dict.fromkeys(FAMILIES, 32),
        )


@dataclass(frozen=True)
class Curve:
    """How a figure depends on one number."""

    panel: str
    """What is varied; the curves of one panel share their axes."""
    label: str
    """Which of the panel's curves this is."""
    x_label: str
    """What x is, with its unit."""
    unit: str
    """`"s"` for seconds per inner step of one GAN, `"times"` for speed-ups."""
    x: list[int]
    """Where it was measured."""
    y: list[Ratio]
    """The median there, with its interval."""


class Costs:
    """The figures measured so far, and what all groups of them need.

    Args:
        scale: how much is timed.
        device: where GANs are trained.
        bar: progress bar that says what is being measured.
    """

    def __init__(self, scale: Scale, device: torch.device, bar: tqdm[Any]) -> None:
        self.scale, self.device, self.bar = scale, device, bar
        self.ratios: dict[str, Ratio] = {}
        self.seconds: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        self.curves: list[Curve] = []
        self.notes: list[str] = []

    def ratio(self, name: str, values: Values) -> None:
        """Keep a ratio, measured `(repeats,)` times."""
        self.bar.set_postfix_str(name)
        self.ratios[name] = Ratio.of(values)

    def time(self, name: str, values: Values) -> None:
        """Keep the median of times in seconds, `(repeats,)`."""
        self.seconds[name] = float(np.median(values))

    def rate(self, name: str, values: Values) -> None:
        """Keep the median of rates per second, `(repeats,)`."""
        self.rates[name] = float(np.median(values))

    def env_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        """Return the arguments of an environment whose episodes do not end while it is timed."""
        return {
            "device": str(self.device),
            "episode_steps": EPISODE_STEPS,
            **kwargs,
            **self.scale.env_kwargs,
        }

    def env(self, env_id: str) -> GANEnv:
        """Make an environment and start a GAN in it."""
        env = make_one(env_id, **self.env_kwargs())
        env.reset(seed=0)
        return env

    def trainer(self, networks: str, source: Source, batch_size: int, **config: Any) -> GANTrainer:
        """Build a trainer on the device; `config` as in `TrainerConfig`."""
        pair = build_networks(networks, source.shape, seed=0)
        return GANTrainer(*pair, source, TrainerConfig(batch_size=batch_size, **config), device=self.device)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
