"""What a controller turns of an optimizer that is not this package's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop

from gan_gym.gan.knob_tensors import MAX_DERIVED_LR, learnt_gain


@dataclass(frozen=True)
class Kind:
    """How a class of optimizers names what the knobs stand for."""

    momentum: str
    """Key of the first-moment decay in a parameter group."""
    lr_scale: float = 1.0
    """Factor on the limits of learning rates, which are Adam's."""


KINDS: dict[type[Optimizer], Kind] = {
    Adam: Kind("betas"),
    AdamW: Kind("betas"),
    NAdam: Kind("betas"),
    RAdam: Kind("betas"),
    RMSprop: Kind("momentum"),
    SGD: Kind("momentum", lr_scale=100.0),
}
"""Optimizers that can be turned. The others move every weight by about a learning rate a step, SGD by that
times a gradient entry, which in GANs is about a hundredth."""


class TurnedOptimizer:
    """One of a loop's two optimizers; its properties are read and set as settings of `gan.Settings` are.

    All parameter groups are turned together: their learning rates keep their ratios, and the first one's is
    the one that is named.

    Args:
        name: the argument it came as, for messages.
        optimizer: of a class in `KINDS`.

    Raises:
        TypeError: if it is no optimizer.
        ValueError: if its class is not among `KINDS`, or its learning rate is 0.
    """

    def __init__(self, name: str, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name} is a {type(optimizer).__name__}; give a torch.optim.Optimizer")
        kinds = [kind for known, kind in KINDS.items() if isinstance(optimizer, known)]
        if not kinds:
            raise ValueError(
                f"{name} is a {type(optimizer).__name__}, whose settings no controller knows; use one of "
                + ", ".join(known.__name__ for known in KINDS)
            )
        self.name, self.optimizer, self.kind = name, optimizer, kinds[0]
        if not self.lr > 0:
            raise ValueError(f"{name} has the learning rate {self.lr:g}; start from one above 0")
        self.asked_ratio: float | None = None
        """Relative weight change per step that is held; `None` until one was asked for."""
        self.gain: float | None = None
        """Relative weight change that a unit of learning rate makes; `None` until it was measured."""

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups  # replaced by the optimizer's load_state_dict

    @property
    def device(self) -> torch.device:
        """Where the first parameter lies."""
        device: torch.device = self._groups[0]["params"][0].device
        return device

    @property
    def lr(self) -> float:
        """Learning rate of the first parameter group."""
        return float(self._groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        now = self.lr
        if now <= 0 or value == now:  # a schedule of the user's holds it at 0
            return
        rates = [value] + [float(group["lr"]) * (value / now) for group in self._groups[1:]]
        for group, rate in zip(self._groups, rates, strict=True):  # groups may share one tensor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    @property
    def beta1(self) -> float:
        """First-moment decay of the first parameter group: Adam's beta1, or momentum."""
        value = self._groups[0][self.kind.momentum]
        return float(value[0] if self.kind.momentum == "betas" else value)

    @beta1.setter
    def beta1(self, value: float) -> None:
        if value == self.beta1:
            return
        for group in self._groups:
            betas = self.kind.momentum == "betas"
            group[self.kind.momentum] = (value, *group["betas"][1:]) if betas else value
            self._give_buffers(group["params"])

    def _give_buffers(self, parameters: Iterable[Tensor]) -> None:
        """Give RMSprop, which makes none once it has stepped without momentum, what momentum needs."""
        for parameter in parameters:
            state = self.optimizer.state.get(parameter)
            if state and isinstance(self.optimizer, RMSprop):
                state.setdefault("momentum_buffer", torch.zeros_like(parameter))

    @property
    def update_ratio(self) -> float:
        """Relative weight change per step: the one held, or the one measured; 0 before there is either."""
        return (self.gain or 0.0) * self.lr if self.asked_ratio is None else self.asked_ratio

    @update_ratio.setter
    def update_ratio(self, value: float) -> None:
        if value > 0:  # 0 is one that was not measured yet, and kept
            self.asked_ratio = value
            self._follow()

    def learn(self, update: Tensor, weight: Tensor, n_updates: int) -> None:
        """Learn from a measured step, and keep the ratio that was asked for; see `learnt_gain`.

        Args:
            update: norm of the weight change, `()`.
            weight: norm of the weights before it, `()`.
            n_updates: steps of the optimizer that made it.
        """
        rate = torch.tensor(self.lr * n_updates, device=update.device)
        first = (update / weight) / rate
        old = first if self.gain is None else torch.full_like(rate, self.gain)
        gain = float(learnt_gain(update, weight, rate, old))
        if math.isfinite(gain) and gain > 0:
            self.gain = gain
            self._follow()

    def _follow(self) -> None:
        if self.gain is not None and self.asked_ratio is not None:
            self.lr = min(self.asked_ratio / self.gain, MAX_DERIVED_LR * self.kind.lr_scale)

    def state(self) -> dict[str, float | None]:
        """Return what the optimizer's own `state_dict` does not hold."""
        return {"asked_ratio": self.asked_ratio, "gain": self.gain}

    def load_state(self, state: dict[str, float | None]) -> None:
        """Continue from a state made by `state`."""
        self.asked_ratio, self.gain = state["asked_ratio"], state["gain"]
