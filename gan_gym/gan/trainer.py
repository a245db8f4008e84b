"""The state of one GAN in training; no RL here.

The inner step reads top to bottom in `population.Population`. Everything random in it is a function of the
seed and the number of images seen, so a trainer restored from `state()` continues bit for bit (on the CPU).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from gan_gym.gan.adam import no_moments
from gan_gym.gan.draws import Source, drawn
from gan_gym.gan.flat import FlatModule
from gan_gym.gan.knob_tensors import MAX_DERIVED_LR
from gan_gym.gan.losses import LOSSES
from gan_gym.gan.player import changed_tensors
from gan_gym.gan.population import Population
from gan_gym.gan.settings import Settings
from gan_gym.gan.spread import Spread
from gan_gym.gan.statistics import Statistics
from gan_gym.names import lookup
from gan_gym.randomness import generator

PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16": torch.bfloat16}
"""What the networks may be computed in, by name."""

N_MEASURED = 512
"""Real samples from which the spread of the data is measured."""

State = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and JSON-able values by name."""


@dataclass(frozen=True)
class TrainerConfig:
    """What stays fixed while a GAN trains.

    Raises:
        ValueError: if a value is out of range or the loss is unknown.
    """

    loss: str = "non_saturating"
    """A name in `LOSSES`."""
    batch_size: int = 32
    """Real samples per discriminator update, and generated samples per update of either network."""
    beta2: float = 0.99
    """Adam's second-moment decay."""
    ema_halflife: int = 2500
    """Half-life of the averaged generator, in images; at most a twentieth of the images seen."""
    penalty_every: int = 4
    """Inner steps between two gradient penalties; their weight is multiplied by it (lazy regularisation)."""
    precision: str = "float32"
    """A name in `PRECISIONS`: `"bfloat16"` computes under autocast; weights and updates stay float32."""
    compile: bool = False
    """Whether updates that come often are compiled as a whole, by `torch.compile`: worth its half minute
    where one population goes on for long; each new trainer compiles anew. On a CPU it needs a C++ compiler.
    A trainer that continues from a state then equals the first within float tolerance, not bit for bit."""
    cuda_graphs: bool = True
    """Whether updates on a GPU are captured as CUDA graphs; off only to look for errors in a network."""

    def __post_init__(self) -> None:
        lookup(LOSSES, self.loss, "loss")
        lookup(PRECISIONS, self.precision, "precision")
        for name in ("batch_size", "ema_halflife", "penalty_every"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a whole number >= 1")
        if not 0 <= self.beta2 < 1:
            raise ValueError(f"beta2 is {self.beta2}; give a number in [0, 1)")


class GANTrainer:
    """A generator, a discriminator, their optimizers, and the averaged generator.

    Args:
        generator: network that fits the `Generator` protocol.
        discriminator: network that fits the `Discriminator` protocol.
        source: real samples.
        config: what stays fixed.
        settings: what may change; replace `trainer.settings` between two calls of `train`.
        seed: seed of all randomness of this trainer.
        device: torch device.
        similarity: maps generated samples to similarities `(N,)` in [0, 1]; called only while `reward_weight`
            > 0.

    Example:
        >>> G, D = build_networks("mlp", (2,), seed=0)
        >>> trainer = GANTrainer(G, D, MixtureSampler.grid())
        >>> trainer.train(100).d_loss
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        source: Source,
        config: TrainerConfig = TrainerConfig(),
        settings: Settings = Settings(),  # noqa: B008 (frozen)
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        similarity: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.config, self.settings, self.seed = config, settings, seed
        self.source, self.similarity = source, similarity
        self.loss = LOSSES[config.loss]
        self.z_dim: int = generator.z_dim  # type: ignore[assignment]
        autocast = PRECISIONS[config.precision]
        averaged = copy.deepcopy(generator).to(device).eval()
        self.g_ema = FlatModule(averaged, autocast, trainable=False)
        self.g = FlatModule(generator.to(device).train(), autocast)
        self.d = FlatModule(discriminator.to(device).train(), autocast)
        self.device = self.g.vector.device  # with its index
        self.drawn = drawn(source, self.device)
        self.g_moments, self.d_moments = no_moments(self.g.vector), no_moments(self.d.vector)
        self.gains = {"g": self._first_gain(self.g), "d": self._first_gain(self.d)}
        self.n_images = 0
        self.statistics = Statistics()

    @staticmethod
    def _first_gain(network: FlatModule) -> float:
        """Return relative weight change per unit of learning rate of Adam's first step, all entries +-lr."""
        return math.sqrt(network.vector.numel()) / (float(network.vector.detach().norm()) + 1e-12)

    @cached_property
    def data_std(self) -> float:
        """Standard deviation of the data: the unit of instance noise, the same whatever the seed."""
        spread = Spread()
        spread.add(self.source.batch(N_MEASURED, generator(0, "spread")))
        return spread.std

    @property
    def noise_std(self) -> float:
        """Standard deviation of the instance noise in force, data units."""
        return self.settings.instance_noise * self.data_std if self.settings.instance_noise > 0 else 0.0

    @property
    def learning_rates(self) -> tuple[float, float]:
        """The learning rates of G and D in force; set by the update ratios where these are above 0."""
        s = self.settings
        return (
            min(s.g_update_ratio / self.gains["g"], MAX_DERIVED_LR) if s.g_update_ratio > 0 else s.g_lr,
            min(s.d_update_ratio / self.gains["d"], MAX_DERIVED_LR) if s.d_update_ratio > 0 else s.d_lr,
        )

    def train(self, n_steps: int) -> Statistics:
        """Do `n_steps` inner steps and return their statistics.

        Raises:
            ValueError: if `n_steps` is below 1, `reward_weight` is above 0 without a `similarity`, or the
                discriminator does not return one logit a sample.
        """
        (statistics,) = self._population.train([self], n_steps)
        return statistics

    @cached_property
    def _population(self) -> Population:
        return Population([self])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle is made of: all but the population that trains it."""
        return {name: value for name, value in self.__dict__.items() if name != "_population"}

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `(n, z_dim)` latents, on the CPU."""
        return torch.randn(n, self.z_dim, generator=rng)

    @property
    def penalty_due(self) -> bool:
        """Whether the next inner step holds gradient penalties."""
        return (self.n_images // self.config.batch_size) % self.config.penalty_every == 0

    def averaging_weight(self, step: int = 0) -> float:
        """Return how far the averaged generator moves to the current one, `step` inner steps from now."""
        n_images = self.n_images + (step + 1) * self.config.batch_size
        halflife = min(self.config.ema_halflife, n_images / 20)
        return 1 - math.pow(0.5, self.config.batch_size / halflife)

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Map latents `(N, z_dim)` to samples of the averaged generator, `(N, *shape)`."""
        return self.g_ema(z.to(self.device))

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Return all tensors that training changes; see `changed_tensors`."""
        return changed_tensors(self.g, self.d, self.g_ema, self.g_moments, self.d_moments)

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": tensor for name, part in self.parts().items() for key, tensor in part.items()
        }

    def state(self) -> State:
        """Return a copy of all that training changes: tensors, and JSON-able values."""
        tensors = {name: tensor.clone() for name, tensor in self._tensors().items()}
        values = {
            "n_images": self.n_images,
            "gains": dict(self.gains),
            "settings": asdict(self.settings),
            "statistics": self.statistics.as_dict(),
        }
        return tensors, values

    def load_state(self, state: State) -> None:
        """Continue from a state made by `state`.

        Raises:
            ValueError: if the state belongs to another architecture; this trainer then stays as it was.
        """
        tensors, values = state
        expected = self._tensors()
        if set(expected) != set(tensors) or any(expected[k].shape != tensors[k].shape for k in expected):
            raise ValueError(
                "the state belongs to another architecture; build the networks it was saved from"
            )
        with torch.no_grad():
            for name, target in expected.items():
                target.copy_(tensors[name])
        self.n_images = values["n_images"]
        self.gains = dict(values["gains"])
        self.settings = Settings(**values["settings"])
        self.statistics = Statistics(**values["statistics"])
