"""How the weights of an optimizer move, measured by hooks around its steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

Copies = list[tuple[Tensor, Tensor]]
"""Parameters, and what they were."""


class Movement:
    """Gradients and weight changes of the parameters of an optimizer.

    A loop's backward passes leave gradients that are not meant (the generator's loss reaches D's weights), so
    they are read when the optimizer steps. Only what comes after `arm` is measured: it costs a copy of the
    parameters and some passes over them.

    Args:
        optimizer: whose steps are watched until `remove`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        self.begin()

    @property
    def n_entries(self) -> int:
        """Number of weights."""
        return sum(p.numel() for group in self._optimizer.param_groups for p in group["params"])

    def begin(self) -> None:
        """Measure distances from where the weights are at the optimizer's next step, which is measured."""
        self._watching, self._start = True, Copies()
        self.arm()

    def arm(self) -> None:
        """Measure what the optimizer does from now to `measured`."""
        self._armed, self._before, self._gradient = True, Copies(), torch.zeros(())
        self.n_updates = 0

    @property
    def is_armed(self) -> bool:
        """Whether a measurement is going on."""
        return self._armed

    @torch.no_grad()
    def measured(self) -> tuple[Tensor, Tensor, Tensor]:
        """End the measurement; return the norms of the last gradient, the weight change and the weights."""
        self._armed = False
        return self._gradient, _distance(self._before), get_total_norm([old for _, old in self._before])

    @torch.no_grad()
    def moved(self) -> Tensor:
        """Return the distance of the weights to where they were at the first step since `begin`."""
        return _distance(self._start)

    def rest(self) -> None:
        """Watch no more until `begin`."""
        self._watching, self._armed, self._start, self._before = False, False, Copies(), Copies()

    def remove(self) -> None:
        """Watch no more."""
        self.rest()
        for handle in self._handles:
            handle.remove()

    def _copies(self) -> Copies:
        parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
        return [(p.detach(), p.detach().clone()) for p in parameters]

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._watching:
            return
        if not self._start:
            self._start = self._before = self._copies()
        elif self._armed and not self._before:
            self._before = self._copies()

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._armed and self._before:
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
            self._gradient = get_total_norm([g.detach() for g in gradients if g is not None])
            self.n_updates += 1


def _distance(copies: Copies) -> Tensor:
    return get_total_norm([now - old for now, old in copies])
