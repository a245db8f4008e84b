"""Train one GAN; no RL here.

The inner step reads top to bottom in `GANTrainer._inner_step`. Everything random in it is a function of the
seed and the number of images seen, so a trainer restored from `state()` continues bit for bit (on the CPU).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gan_gym.gan.augment import augment
from gan_gym.gan.flat import FlatModule, laid_out
from gan_gym.gan.losses import LOSSES
from gan_gym.gan.settings import Settings
from gan_gym.gan.statistics import Recorder, Statistics
from gan_gym.names import lookup
from gan_gym.randomness import generator

MEASURE_EVERY = 5
"""Inner steps between two measurements of gradient and update norms."""

MAX_DERIVED_LR = 0.02
"""Largest learning rate that an update ratio may set: weights that grow with it would otherwise run away."""

State = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors by name, and JSON-able values by name."""


class Source(Protocol):
    """Where real samples come from."""

    shape: tuple[int, ...]
    """Shape of one sample."""

    def batch(self, n: int, rng: torch.Generator) -> Tensor:
        """Return `(n, *shape)` real samples drawn with `rng` alone."""
        ...


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

    def __post_init__(self) -> None:
        lookup(LOSSES, self.loss, "loss")
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
        self.device = torch.device(device)
        self.source, self.similarity = source, similarity
        self.loss = LOSSES[config.loss]
        self.z_dim: int = generator.z_dim  # type: ignore[assignment]
        self.g_ema = FlatModule(copy.deepcopy(generator).to(self.device).eval(), trainable=False)
        self.g = FlatModule(generator.to(self.device).train())
        self.d = FlatModule(discriminator.to(self.device).train())
        self.g_optimizer, self.d_optimizer = self._adam(self.g), self._adam(self.d)
        self.gains = {"g": self._first_gain(self.g), "d": self._first_gain(self.d)}
        self.n_images = 0
        self.statistics = Statistics()

    def _adam(self, network: FlatModule) -> torch.optim.Adam:
        # One flat parameter makes the fused optimizer a single kernel; its state exists from the start, so
        # that saving and loading need no special case before the first step.
        optimizer = torch.optim.Adam([network.vector], betas=(0.0, self.config.beta2), fused=True)
        zeros = torch.zeros_like(network.vector, requires_grad=False)
        optimizer.state[network.vector] = {
            "step": torch.zeros((), device=self.device),
            "exp_avg": zeros.clone(),
            "exp_avg_sq": zeros,
        }
        return optimizer

    @staticmethod
    def _first_gain(network: FlatModule) -> float:
        """Return relative weight change per unit of learning rate of Adam's first step, all entries +-lr."""
        return math.sqrt(network.vector.numel()) / (float(network.vector.detach().norm()) + 1e-12)

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
            ValueError: if `n_steps` is below 1, or `reward_weight` is above 0 without a `similarity`.
        """
        if n_steps < 1:
            raise ValueError(f"n_steps is {n_steps}; give a whole number >= 1")
        if self.settings.reward_weight > 0 and self.similarity is None:
            raise ValueError(
                f"reward_weight is {self.settings.reward_weight} but the trainer has no similarity; "
                "pass `similarity`, or set reward_weight to 0"
            )
        recorder = Recorder()
        before = self.g.vector.detach().clone(), self.d.vector.detach().clone()
        for i in range(n_steps):
            self._inner_step(recorder, measured=i % MEASURE_EVERY == 0)
        after = self.g.vector.detach(), self.d.vector.detach()
        moved = torch.stack([(a - b).norm() for a, b in zip(after, before, strict=True)]).unsqueeze(1)
        (self.statistics,) = recorder.summary([self.statistics], moved, (after[0].numel(), after[1].numel()))
        return self.statistics

    def _inner_step(self, recorder: Recorder, measured: bool) -> None:
        s, n = self.settings, self.config.batch_size
        rng = generator(self.seed, "step", self.n_images)
        measure_g, measure_d = self._measure(self.g, measured), self._measure(self.d, measured)
        for _ in range(round(s.d_steps)):
            x_real = laid_out(self.source.batch(n, rng).to(self.device))
            with torch.no_grad():
                x_fake = self.g.module(self.latents(n, rng))
            d_loss, logits = self._update_discriminator(x_real, x_fake, rng)
        d_norms = measure_d()
        g_loss = self._update_generator(x_real, rng)
        g_norms = measure_g()
        self.n_images += n
        self._average()
        recorder.step(g_loss, d_loss, logits)
        if measured:
            recorder.measure(g_norms + d_norms)
            self.follow_update_ratios(g_norms, d_norms)

    def _update_discriminator(
        self, x_real: Tensor, x_fake: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        s, loss = self.settings, self.loss
        weight = None
        if s.reward_weight > 0:
            assert self.similarity is not None
            weight = 1 - s.reward_weight * self.similarity(x_fake)
        self.d.gradient.zero_()
        seen = self.seen(torch.cat([x_real, x_fake]), rng)
        logits = self._logits(seen)
        real, fake = logits.chunk(2)
        d_loss = loss.d_loss(real, fake, weight)
        penalty = self._penalty(seen, rng)
        (d_loss if penalty is None else d_loss + penalty).backward()  # type: ignore[no-untyped-call]
        self._step(self.d_optimizer, self.learning_rates[1])
        return d_loss, logits

    def _update_generator(self, x_real: Tensor, rng: torch.Generator) -> Tensor:
        self.g.gradient.zero_()
        n = len(x_real)
        x_fake = self.g.module(self.latents(n, rng))
        real = None
        if self.loss.relativistic:
            real, fake = self._logits(self.seen(torch.cat([x_real, x_fake]), rng)).chunk(2)
        else:
            fake = self.d.module(self.seen(x_fake, rng))
        g_loss = self.loss.g_loss(fake, real)
        g_loss.backward(inputs=self.g.parameters)  # type: ignore[no-untyped-call]
        self._step(self.g_optimizer, self.learning_rates[0])
        return g_loss

    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `(n, z_dim)` latents."""
        return torch.randn(n, self.z_dim, generator=rng).to(self.device)

    def seen(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Augment samples and add instance noise."""
        if self.settings.augment_p > 0:
            x = augment(x, self.settings.augment_p, rng)
        if self.settings.instance_noise > 0:
            noise = laid_out(torch.randn(x.shape, generator=rng).to(self.device))
            x = torch.add(x, noise, alpha=self.settings.instance_noise)
        return x

    @property
    def penalty_due(self) -> bool:
        """Whether the next inner step holds gradient penalties."""
        return (self.n_images // self.config.batch_size) % self.config.penalty_every == 0

    def _penalty(self, seen: Tensor, rng: torch.Generator) -> Tensor | None:
        """Return R1 (with R2 for relativistic losses) and WGAN-GP's penalty where they are due."""
        if not self.penalty_due:
            return None
        every = self.config.penalty_every
        n = len(seen) // 2
        gamma, interpolated = self.settings.r1_gamma, self.loss.gradient_penalty
        penalty = None
        if gamma > 0:
            both = self.loss.relativistic
            gradients = self._gradients(seen if both else seen[:n], both)
            penalty = every * gamma / 2 * gradients.square().sum() / n
        if interpolated > 0:
            mix = torch.rand(n, *(1,) * (seen.ndim - 1), generator=rng).to(seen)
            norm = self._gradients(torch.lerp(seen[:n], seen[n:], mix)).flatten(1).norm(dim=1)
            wgan = every * interpolated * (norm - 1).square().mean()
            penalty = wgan if penalty is None else penalty + wgan
        return penalty

    def _gradients(self, x: Tensor, both: bool = False) -> Tensor:
        x = x.detach().requires_grad_(True)
        logits = self._logits(x) if both else self.d.module(x)
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return gradient

    def _logits(self, seen: Tensor) -> Tensor:
        """Score real and fake, the halves of `seen`: together, or apart where batch statistics would mix."""
        if getattr(self.d.module, "joint", True):
            logits: Tensor = self.d.module(seen)
            return logits
        return torch.cat([self.d.module(half) for half in seen.chunk(2)])

    def _step(self, optimizer: torch.optim.Adam, lr: float) -> None:
        group = optimizer.param_groups[0]
        group["lr"], group["betas"] = lr, (self.settings.beta1, self.config.beta2)
        optimizer.step()

    @property
    def averaging_weight(self) -> float:
        """How far the averaged generator moves to the current one in an inner step."""
        halflife = min(self.config.ema_halflife, self.n_images / 20 + 1e-9)
        return 1 - math.pow(0.5, self.config.batch_size / halflife)

    def _average(self) -> None:
        weight = self.averaging_weight
        with torch.no_grad():
            self.g_ema.vector.lerp_(self.g.vector, weight)
            for averaged, buffer in zip(self.g_ema.buffers, self.g.buffers, strict=True):
                if buffer.is_floating_point():
                    averaged.lerp_(buffer, weight)
                else:
                    averaged.copy_(buffer)

    @staticmethod
    def _measure(network: FlatModule, measured: bool) -> Callable[[], tuple[Tensor, ...]]:
        """Return a function that measures the update since now: gradient, update and weight norm."""
        if not measured:
            return tuple
        before = network.vector.detach().clone()
        return lambda: (
            network.gradient.norm(),
            (network.vector.detach() - before).norm(),
            before.norm(),
        )

    def follow_update_ratios(self, g_norms: tuple[Tensor, ...], d_norms: tuple[Tensor, ...]) -> None:
        """Learn what relative weight change a unit of learning rate makes, where update ratios are in force.

        Args:
            g_norms: gradient, update and weight norm of a measured step of G, scalars.
            d_norms: the same of D.
        """
        s = self.settings
        for name, asked, norms, lr, updates in (
            ("g", s.g_update_ratio, g_norms, self.learning_rates[0], 1),
            ("d", s.d_update_ratio, d_norms, self.learning_rates[1], round(s.d_steps)),
        ):
            if asked > 0:
                gain = float(norms[1] / norms[2]) / (lr * updates)
                if math.isfinite(gain) and gain > 0:
                    self.gains[name] *= (gain / self.gains[name]) ** 0.5

    @torch.no_grad()
    def sample(self, z: Tensor) -> Tensor:
        """Map latents `(N, z_dim)` to samples of the averaged generator, `(N, *shape)`."""
        samples: Tensor = self.g_ema.module(z.to(self.device))
        return samples

    @property
    def is_finite(self) -> bool:
        """Whether all weights of both networks, Adam's second moments and running statistics are finite.

        A second moment that overflows leaves the weights finite but stuck: they would never move again. Nor
        do running statistics that overflow stop G's training, but the averaged generator makes nothing then.
        """
        moments = [o.state[n.vector]["exp_avg_sq"] for n, o in self._trained]
        buffers = [buffer for buffer in self.g_ema.buffers if buffer.is_floating_point()]
        parts = (self.g.vector, self.d.vector, *moments, *buffers)
        return bool(torch.isfinite(sum(part.detach().sum() for part in parts)))

    @property
    def _trained(self) -> tuple[tuple[FlatModule, torch.optim.Adam], ...]:
        return (self.g, self.g_optimizer), (self.d, self.d_optimizer)

    def _tensors(self) -> dict[str, Tensor]:
        """Return all tensors that training changes, not copied."""
        networks = {"g": self.g.tensors(), "d": self.d.tensors(), "g_ema": self.g_ema.tensors()}
        moments = {"g_optimizer": self.g_optimizer.state, "d_optimizer": self.d_optimizer.state}
        parts = networks | {name: next(iter(state.values())) for name, state in moments.items()}
        return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.items()}

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
