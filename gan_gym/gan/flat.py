"""A network whose parameters lie in one vector: norms, averages and optimizer steps are single kernels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn


def views(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Return the parameters of these shapes that lie in `vector`, `(*lead, P)`, as views `(*lead, *shape)`.

    Weights of two-dimensional convolutions lie channels last: convolutions then take and give their images so
    too, which makes them up to twice as fast on CPUs.
    """
    lead = vector.shape[:-1]
    parts = torch.split(vector, [shape.numel() for shape in shapes], dim=-1)
    return [
        part.view(*lead, shape[0], shape[2], shape[3], shape[1]).movedim(-1, -3)
        if len(shape) == 4
        else part.view(*lead, *shape)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def joined(parts: Sequence[Tensor], shapes: Sequence[torch.Size]) -> Tensor:
    """Return the vector `(*lead, P)` in which `views` would find these parameters."""
    laid = [
        part.movedim(-3, -1) if len(shape) == 4 else part for part, shape in zip(parts, shapes, strict=True)
    ]
    lead = laid[0].shape[: laid[0].ndim - len(shapes[0])]
    return torch.cat([part.reshape(*lead, -1) for part in laid], dim=-1)


def laid_out(x: Tensor) -> Tensor:
    """Return images as the convolutions take them, channels last, and all else as it is.

    Mixing both layouts costs ten times what one operation on either does.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


class FlatModule:
    """Wrap a module so that its parameters are views of one vector.

    Parameters that ask for no gradient are frozen: they stay as they are, as buffers do.

    Args:
        module: a network on its final device; its parameters must share one floating dtype.
        autocast: what matrix products and convolutions are computed in; `None` for the weights' own dtype.
        trainable: whether gradients are wanted; off for averaged copies.

    Raises:
        ValueError: if all parameters are frozen.
    """

    def __init__(
        self,
        module: nn.Module,
        autocast: torch.dtype | None = None,
        *,
        trainable: bool = True,
    ) -> None:
        self.module, self.autocast = module, autocast
        named = dict(module.named_parameters())
        self._frozen = {name: parameter for name, parameter in named.items() if not parameter.requires_grad}
        self.parameters = [parameter for name, parameter in named.items() if name not in self._frozen]
        if not self.parameters:
            raise ValueError(
                f"no parameter of {type(module).__name__} asks for a gradient; call `requires_grad_()` on "
                "what is to be trained"
            )
        self.buffers = [*module.buffers(), *self._frozen.values()]
        self.shapes = [parameter.shape for parameter in self.parameters]
        first = self.parameters[0]
        n = sum(shape.numel() for shape in self.shapes)
        vector = torch.empty(n, dtype=first.dtype, device=first.device)
        for view, parameter in zip(views(vector, self.shapes), self.parameters, strict=True):
            view.copy_(parameter.detach())
        self._lie_in(vector, trainable)

    def _lie_in(self, vector: Tensor, trainable: bool) -> None:
        self.vector = nn.Parameter(vector, requires_grad=trainable)
        for parameter, view in zip(self.parameters, views(vector, self.shapes), strict=True):
            parameter.data = view
            parameter.requires_grad_(trainable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a copy or a pickle, which holds the parameters apart from the vector."""
        self.__dict__.update(state)
        self._lie_in(self.vector.detach(), self.vector.requires_grad)

    @classmethod
    def stacked(cls, networks: Sequence[Self]) -> Self:
        """Return networks of one architecture as one: parameters `(n, *shape)` that lie in a vector `(n, P)`.

        Its layers must take such parameters (`gan.layers`). The networks are copied and stay as they are.
        """
        first = networks[0]
        stack = copy.deepcopy(first)
        stack._lie_in(
            torch.stack([network.vector.detach() for network in networks]), first.vector.requires_grad
        )
        for i, buffer in enumerate(stack.buffers):
            buffer.data = torch.stack([network.buffers[i] for network in networks])
        return stack

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the network."""
        if self.autocast is None:
            result: Tensor = self.module(x)
            return result
        # without the cache, which would outlive CUDA graphs
        with torch.autocast(x.device.type, self.autocast, cache_enabled=False):
            return self.module(x).float()  # type: ignore[no-any-return]

    def differentiate(self, loss: Tensor) -> Tensor:
        """Return the gradient of a scalar, laid out as `vector` is."""
        parts = torch.autograd.grad(loss, self.parameters, allow_unused=True, materialize_grads=True)
        return joined(parts, self.shapes)

    @cached_property
    def architecture(self) -> tuple[str, list[torch.Size], list[str]]:
        """What two networks must share to be one function of their parameters: layers, shapes, the frozen."""
        return repr(self.module), self.shapes, list(self._frozen)

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameter vector, and buffers and frozen parameters by name, not copied."""
        buffers = {**dict(self.module.named_buffers()), **self._frozen}
        return {"vector": self.vector.detach(), **{f"buffer.{name}": own for name, own in buffers.items()}}

    def copied(self) -> dict[str, Tensor]:
        """Return copies of `tensors`."""
        return {name: tensor.clone() for name, tensor in self.tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the values of tensors that `copied` gave."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
