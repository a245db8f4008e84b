"""One side of the game: the generator or the discriminator of one GAN or of many, with Adam's moments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

from gan_gym.gan.adam import EPSILON, Moments, adam_
from gan_gym.gan.flat import FlatModule


def changed_tensors(
    g: FlatModule, d: FlatModule, g_ema: FlatModule, g_moments: Moments, d_moments: Moments
) -> dict[str, dict[str, Tensor]]:
    """Return all tensors that training changes, not copied: of G, D, the averaged G, both optimizers."""
    return {
        "g": g.tensors(),
        "d": d.tensors(),
        "g_ema": g_ema.tensors(),
        "g_optimizer": g_moments,
        "d_optimizer": d_moments,
    }


class Player:
    """A network and the moments of its optimizer; of several GANs, stacked copies of theirs.

    Args:
        networks: one a GAN, of one architecture.
        moments: of each network's vector.
        fused: whether to step by PyTorch's fused kernel, which is quicker for one GAN on a CPU, but reads its
            rates on the host.
    """

    def __init__(
        self, networks: Sequence[FlatModule], moments: Sequence[Moments], *, fused: bool = False
    ) -> None:
        self.network, self.moments, self._fused = networks[0], moments[0], fused
        if len(networks) > 1:
            self.network = FlatModule.stacked(networks)
            self.moments = {name: torch.stack([row[name] for row in moments]) for name in moments[0]}

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the networks, each to its own inputs."""
        return self.network(x)

    @property
    def vector(self) -> Tensor:
        """The weights, `(P,)` or `(n, P)`, without gradients."""
        return self.network.vector.detach()

    @torch.no_grad()
    def step(
        self, gradient: Tensor, lr: Tensor, beta1: Tensor, beta2: float, active: Tensor | None = None
    ) -> None:
        """Take Adam's step, each network at its own rate; see `adam_`."""
        if not self._fused:
            adam_(self.vector, gradient, self.moments, lr=lr, beta1=beta1, beta2=beta2, active=active)
            return
        adam(
            [self.vector],
            [gradient],
            [self.moments["exp_avg"]],
            [self.moments["exp_avg_sq"]],
            max_exp_avg_sqs=[],
            state_steps=[self.moments["step"]],
            fused=True,
            amsgrad=False,
            beta1=float(beta1),
            beta2=beta2,
            lr=float(lr),
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
