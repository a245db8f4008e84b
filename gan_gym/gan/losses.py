"""The adversarial losses, one small class each.

All take logits `(..., N)` and return losses `(...)`, means over the last dimension, so that one call serves
one GAN or a whole population. `weight` `(..., N)` multiplies the discriminator's fake term sample by sample:
our realisation of the weighted reward in the discriminator loss of arXiv 2409.20340 (see `GANTrainer`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class GANLoss(Protocol):
    """What the trainer needs of a loss."""

    @property
    def equilibrium(self) -> float:
        """The discriminator's loss where all logits are 0: generated and real data cannot be told apart."""
        ...

    @property
    def scale(self) -> float:
        """The unit of loss observations: `equilibrium`, or 1 for a loss without a scale of its own."""
        ...

    @property
    def relativistic(self) -> bool:
        """Whether the generator's loss needs the logits of real data too."""
        ...

    @property
    def gradient_penalty(self) -> float:
        """Weight of the penalty on interpolates (WGAN-GP); 0 for none."""
        ...

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return the discriminator's loss."""
        ...

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return the generator's loss."""
        ...


def _mean(term: Tensor, weight: Tensor | None) -> Tensor:
    return (term if weight is None else term * weight).mean(-1)


@dataclass(frozen=True)
class NonSaturating:
    """Non-saturating loss of Goodfellow et al. 2014 (arXiv 1406.2661, section 3)."""

    equilibrium: float = math.log(4)
    scale: float = math.log(4)
    relativistic: bool = False
    gradient_penalty: float = 0.0

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return E softplus(-D(x)) + E w softplus(D(G(z)))."""
        return F.softplus(-real).mean(-1) + _mean(F.softplus(fake), weight)

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return E softplus(-D(G(z)))."""
        return F.softplus(-fake).mean(-1)


@dataclass(frozen=True)
class Hinge:
    """Hinge loss (Lim & Ye 2017, arXiv 1705.02894; Miyato et al. 2018, arXiv 1802.05957, eqs. 16-17)."""

    equilibrium: float = 2.0
    scale: float = 2.0
    relativistic: bool = False
    gradient_penalty: float = 0.0

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return E max(0, 1 - D(x)) + E w max(0, 1 + D(G(z)))."""
        return F.relu(1 - real).mean(-1) + _mean(F.relu(1 + fake), weight)

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return -E D(G(z))."""
        return -fake.mean(-1)


@dataclass(frozen=True)
class LeastSquares:
    """Least squares loss of Mao et al. 2017 (arXiv 1611.04076, eq. 2; a = -1, b = c = 1, no halves)."""

    equilibrium: float = 2.0
    scale: float = 2.0
    relativistic: bool = False
    gradient_penalty: float = 0.0

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return E (D(x) - 1)^2 + E w (D(G(z)) + 1)^2."""
        return (real - 1).square().mean(-1) + _mean((fake + 1).square(), weight)

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return E (D(G(z)) - 1)^2."""
        return (fake - 1).square().mean(-1)


@dataclass(frozen=True)
class WassersteinGP:
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3)."""

    equilibrium: float = 0.0
    scale: float = 1.0
    relativistic: bool = False
    gradient_penalty: float = 10.0

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return E w D(G(z)) - E D(x)."""
        return _mean(fake, weight) - real.mean(-1)

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return -E D(G(z))."""
        return -fake.mean(-1)


@dataclass(frozen=True)
class Relativistic:
    """Relativistic pairing loss, meant with R1 + R2 (Huang et al. 2024, R3GAN, arXiv 2501.05441, eq. 2)."""

    equilibrium: float = math.log(2)
    scale: float = math.log(2)
    relativistic: bool = True
    gradient_penalty: float = 0.0

    def d_loss(self, real: Tensor, fake: Tensor, weight: Tensor | None) -> Tensor:
        """Return E w softplus(D(G(z)) - D(x))."""
        return _mean(F.softplus(fake - real), weight)

    def g_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """Return E softplus(D(x) - D(G(z)))."""
        assert real is not None
        return F.softplus(real - fake).mean(-1)


LOSSES: dict[str, GANLoss] = {
    "non_saturating": NonSaturating(),
    "hinge": Hinge(),
    "least_squares": LeastSquares(),
    "wgan_gp": WassersteinGP(),
    "relativistic": Relativistic(),
}
"""Losses by name. Where `r1_gamma` > 0, `relativistic` penalises real and generated data (R1 + R2), the
others real data (R1)."""
