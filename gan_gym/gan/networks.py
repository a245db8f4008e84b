"""Generators and discriminators: for points, and for patches of any size that is a multiple of 8.

A network of your own needs no base class: a `torch.nn.Module` that fits `Generator` or `Discriminator` is
enough. Pass the pair to `GANTrainer`, or add it to `NETWORKS` under a name to use it in the environments.
Built from `gan.layers`, and with an attribute `stackable = True`, it trains in populations too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from gan_gym.gan import convolutional, residual
from gan_gym.gan.mlp import MLPDiscriminator, MLPGenerator
from gan_gym.gan.pacgan import PacGANDiscriminator, PacGANGenerator
from gan_gym.names import lookup
from gan_gym.randomness import stream_seed

Family = Literal["points", "images"]
"""What a pair makes. It decides what a pair costs, how pairs train together, and which settings suit it."""

Shape = tuple[int, ...]
"""Shape of one sample: `(2,)` for points, `(3, H, W)` for patches."""


class Generator(Protocol):
    """A module that maps latents to samples."""

    z_dim: int
    """Length of a latent."""

    def __call__(self, z: Tensor) -> Tensor:
        """Map `(N, z_dim)` standard normal latents to `(N, *shape)` samples, patches in [-1, 1]."""
        ...


class Discriminator(Protocol):
    """A module that scores samples."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map `(N, *shape)` samples to `(N,)` logits, higher for real.

        Real and generated samples come in one batch, unless the module has an attribute `joint = False`: set
        it where a logit depends on the rest of the batch, as with batch normalisation.
        """
        ...


@dataclass(frozen=True)
class Networks:
    """How to build a generator and a discriminator for samples of a given shape."""

    generator: Callable[[Shape], nn.Module]
    discriminator: Callable[[Shape], nn.Module]
    family: Family = "images"


NETWORKS: dict[str, Networks] = {
    "mlp": Networks(MLPGenerator, MLPDiscriminator, "points"),
    "mlp_large": Networks(
        partial(MLPGenerator, width=128, depth=3), partial(MLPDiscriminator, width=128, depth=3), "points"
    ),
    "pacgan": Networks(PacGANGenerator, PacGANDiscriminator, "points"),
    "light": Networks(convolutional.LightGenerator, convolutional.LightDiscriminator),
    "light_weak_d": Networks(convolutional.LightGenerator, convolutional.QuarterDiscriminator),
    "light_layer": Networks(
        convolutional.LightGenerator, partial(convolutional.LightDiscriminator, norm="layer")
    ),
    "light_spectral": Networks(
        convolutional.LightGenerator, partial(convolutional.LightDiscriminator, norm="spectral")
    ),
    "residual": Networks(residual.ResidualGenerator, residual.ResidualDiscriminator),
}
"""Network pairs by name: for points `mlp`, `mlp_large` (twice as wide, a layer more) and `pacgan` (the
published protocol's); for patches `light` (DCGAN class), `residual` (quality, GPUs), `light_weak_d`, with
a discriminator a quarter as wide, the hard setting of the mode-collapse protocols, and `light_layer` and
`light_spectral`, whose discriminators are normalised as WGAN-GP's and SNGAN's."""


def family(name: str) -> Family:
    """Return what the named pair makes.

    Raises:
        ValueError: if the name is unknown.
    """
    return lookup(NETWORKS, name, "networks").family


def build_networks(name: str, shape: Shape, seed: int) -> tuple[nn.Module, nn.Module]:
    """Build the named pair with weights drawn from `seed`; the global random state is left as it was.

    Raises:
        ValueError: if the name is unknown or the pair cannot make samples of this shape.
    """
    networks = lookup(NETWORKS, name, "networks")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            stream_seed(seed, "networks")
        )  # torch.manual_seed also seeds GPUs
        return networks.generator(shape), networks.discriminator(shape)
