"""A network whose parameters lie in one vector: norms, averages and optimizer steps are single kernels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn


def views(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Return the parameters of these shapes that lie in `vector`, `(*batch, P)`, as views `(*batch, *shape)`.

    Weights of two-dimensional convolutions lie channels last: convolutions then take and give their images so
    too, which makes them up to twice as fast on CPUs.
    """
    batch = vector.shape[:-1]
    parts = torch.split(vector, [shape.numel() for shape in shapes], dim=-1)
    return [
        part.reshape(*batch, shape[0], shape[2], shape[3], shape[1]).movedim(-1, -3)
        if len(shape) == 4
        else part.reshape(*batch, *shape)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def laid_out(x: Tensor) -> Tensor:
    """Return images as the convolutions take them, channels last, and all else as it is.

    Mixing both layouts costs ten times what one operation on either does.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


class FlatModule:
    """Wrap a module so that its parameters and gradients are views of one vector each.

    Args:
        module: a network on its final device; its parameters must share one floating dtype.
        trainable: whether gradients are kept; off for averaged copies.
    """

    def __init__(self, module: nn.Module, *, trainable: bool = True) -> None:
        parameters = list(module.parameters())
        self.module = module
        self.parameters = parameters
        self.buffers = list(module.buffers())
        self.shapes = [parameter.shape for parameter in parameters]
        first = parameters[0]
        vector = torch.empty(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
        self.vector = nn.Parameter(vector, requires_grad=trainable)
        gradients: list[Tensor | None] = [None] * len(parameters)
        if trainable:
            self.vector.grad = torch.zeros_like(vector)
            gradients = [*views(self.vector.grad, self.shapes)]
        for parameter, view, gradient in zip(parameters, views(vector, self.shapes), gradients, strict=True):
            parameter.data = view.copy_(parameter.detach())
            parameter.requires_grad_(trainable)
            parameter.grad = gradient

    @property
    def gradient(self) -> Tensor:
        """The gradient of all parameters, `(P,)`."""
        assert self.vector.grad is not None
        return self.vector.grad

    @cached_property
    def architecture(self) -> tuple[str, list[torch.Size]]:
        """What two networks must share to be one function of their parameters: layers and shapes."""
        return repr(self.module), self.shapes

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameter vector and the module's buffers by name, not copied."""
        buffers = {f"buffer.{name}": buffer for name, buffer in self.module.named_buffers()}
        return {"vector": self.vector.detach(), **buffers}
