"""A network whose parameters lie in one vector: norms, averages and optimizer steps are single kernels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
        self.vector = nn.Parameter(
            torch.cat([p.detach().reshape(-1) for p in parameters]), requires_grad=trainable
        )
        if trainable:
            self.vector.grad = torch.zeros_like(self.vector)
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.data = self.vector.data[start:end].view_as(parameter)
            parameter.requires_grad_(trainable)
            if trainable:
                assert self.vector.grad is not None
                parameter.grad = self.vector.grad[start:end].view_as(parameter)
            start = end

    @property
    def gradient(self) -> Tensor:
        """The gradient of all parameters, `(P,)`."""
        assert self.vector.grad is not None
        return self.vector.grad

    def tensors(self) -> dict[str, Tensor]:
        """Return the parameter vector and the module's buffers by name, not copied."""
        buffers = {f"buffer.{name}": buffer for name, buffer in self.module.named_buffers()}
        return {"vector": self.vector.detach(), **buffers}
