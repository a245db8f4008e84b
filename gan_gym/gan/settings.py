"""What can be changed while a GAN trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """The live hyperparameters of a `GANTrainer`; replace the whole object to change one.

    Raises:
        ValueError: if a value is negative, not finite, or outside the range its docstring gives.
    """

    g_lr: float = 2e-4
    """Adam's learning rate of the generator."""
    d_lr: float = 2e-4
    """Adam's learning rate of the discriminator."""
    instance_noise: float = 0.0
    """Std of the noise on all the discriminator sees, standard deviations of the data (Sonderby et al. 2016,
    arXiv 1610.04490)."""
    reward_weight: float = 0.0
    """Lambda in [0, 1]: the discriminator's fake term is weighted by 1 - lambda * similarity(x_fake)."""
    r1_gamma: float = 0.0
    """Weight of the gradient penalty on real data (Mescheder et al. 2018, arXiv 1801.04406, eq. 9)."""
    d_steps: float = 1.0
    """Discriminator updates per generator update, >= 1; rounded."""
    augment_p: float = 0.0
    """Probability in [0, 1] of augmenting what the discriminator sees."""
    beta1: float = 0.5
    """Adam's first-moment decay of both networks, in [0, 1)."""
    g_update_ratio: float = 0.0
    """Asked relative weight change per step of the generator; above 0 it sets `g_lr`."""
    d_update_ratio: float = 0.0
    """Asked relative weight change per step of the discriminator; above 0 it sets `d_lr`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} is {value!r}; give a finite number >= 0")
        for name in ("reward_weight", "augment_p"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number in [0, 1]")
        if self.beta1 >= 1:
            raise ValueError(f"beta1 is {self.beta1}; give a number in [0, 1)")
        if self.d_steps < 1:
            raise ValueError(f"d_steps is {self.d_steps}; give a number >= 1")
