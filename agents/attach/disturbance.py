"""Instance noise and augmentation of all that a user's discriminator sees."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_gym.gan.augment import augmented, draw_augmentation
from gan_gym.randomness import generator, stream_seed

_STATE = ("n_calls", "instance_noise", "augment_p", "data_std")


class Disturbance:
    """Disturbs what a discriminator in training mode sees, by a hook before its forward pass.

    As in `GANTrainer`, real and generated samples are disturbed alike, in D's updates and in G's. In
    evaluation mode D sees samples as they are.

    Args:
        discriminator: its first positional argument are samples.
        value_range: lowest and highest value of an image.
        seed: seed of all draws, which are functions of it and the number of calls.

    Raises:
        TypeError: if the discriminator is no module.
    """

    def __init__(self, discriminator: nn.Module, value_range: tuple[float, float], seed: int) -> None:
        if not isinstance(discriminator, nn.Module):
            raise TypeError(f"discriminator is a {type(discriminator).__name__}; give the torch.nn.Module")
        self._middle = (value_range[0] + value_range[1]) / 2
        self._unit = (value_range[1] - value_range[0]) / 2
        self._seed = seed
        self.n_calls = 0
        """Forward passes that were disturbed."""
        self.instance_noise = 0.0
        """Standard deviation of the noise, in standard deviations of the data."""
        self.data_std = 1.0
        """Standard deviation of the data."""
        self.augment_p = 0.0
        """Probability that a sample is augmented."""
        self._handle = discriminator.register_forward_pre_hook(self._disturb)

    def remove(self) -> None:
        """Disturb no more."""
        self._handle.remove()

    def _disturb(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not module.training or (self.instance_noise == 0 and self.augment_p == 0):
            return None
        if not inputs or not isinstance(inputs[0], Tensor):
            raise ValueError("discriminator was called without samples as its first positional argument")
        x, *others = inputs
        self.n_calls += 1
        if self.augment_p > 0:
            x = self._augmented(x)
        if self.instance_noise > 0:
            rng = torch.Generator(x.device).manual_seed(stream_seed(self._seed, "attach/noise", self.n_calls))
            noise = torch.empty_like(x).normal_(generator=rng)  # laid out as the images are
            x = x.add(noise, alpha=self.instance_noise * self.data_std)
        return (x, *others)

    def _augmented(self, x: Tensor) -> Tensor:
        if not (x.ndim == 4 or (x.ndim == 2 and x.shape[1] == 2)):
            raise ValueError(
                f"discriminator sees samples of shape {tuple(x.shape)}, which augment_p cannot augment; use "
                "a controller without this knob"
            )
        draws = draw_augmentation(tuple(x.shape), generator(self._seed, "attach/augment", self.n_calls))
        p = torch.tensor(self.augment_p, device=x.device)
        scaled = (x - self._middle) / self._unit if x.ndim == 4 else x
        changed = augmented(scaled, p, {name: draw.to(x.device) for name, draw in draws.items()})
        return changed * self._unit + self._middle if x.ndim == 4 else changed

    def state(self) -> dict[str, float]:
        """Return what continues it, JSON-able."""
        return {name: getattr(self, name) for name in _STATE}

    def load_state(self, state: dict[str, float]) -> None:
        """Continue from a state made by `state`."""
        for name in _STATE:
            setattr(self, name, state[name])
