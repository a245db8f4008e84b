"""One side of the game: the generator or the discriminator of one GAN or of many, with its optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_gym.gan.adam import adam_
from gan_gym.gan.flat import FlatModule


class Player:
    """A network and the state of its optimizer; of several GANs, stacked copies of theirs.

    Args:
        networks: one a GAN, of one architecture.
        optimizers: Adam over each network's vector.
    """

    def __init__(self, networks: Sequence[FlatModule], optimizers: Sequence[torch.optim.Adam]) -> None:
        if len(networks) == 1:
            self.network, self.optimizer = networks[0], optimizers[0]
            self.moments = moments(networks[0], optimizers[0])
        else:
            rows = [moments(*pair) for pair in zip(networks, optimizers, strict=True)]
            self.network = FlatModule.stacked(networks)
            self.moments = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def __call__(self, x: Tensor, *, twice: bool = False) -> Tensor:
        """Apply the networks, each to its own inputs; `twice` as in `FlatModule`."""
        return self.network(x, twice=twice)

    @property
    def vector(self) -> Tensor:
        """The weights, `(P,)` or `(n, P)`, without gradients."""
        return self.network.vector.detach()

    def tensors(self) -> dict[str, Tensor]:
        """Return all that training changes, not copied."""
        return {**self.network.tensors(), **self.moments}

    def step(
        self, gradient: Tensor, lr: Tensor, beta1: Tensor, beta2: float, active: Tensor | None = None
    ) -> None:
        """Take Adam's step, each network at its own rate; see `adam_`."""
        if lr.ndim or lr.is_cuda:
            adam_(self.vector, gradient, self.moments, lr=lr, beta1=beta1, beta2=beta2, active=active)
            return
        group = self.optimizer.param_groups[0]  # one GAN on a CPU: PyTorch's fused kernel is quicker
        group["lr"], group["betas"] = float(lr), (float(beta1), beta2)
        self.optimizer.step()


def moments(network: FlatModule, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Return the state of an optimizer over the network's vector: `exp_avg`, `exp_avg_sq` and `step`."""
    state: dict[str, Tensor] = optimizer.state[network.vector]
    return state
