"""A network whose parameters lie in one vector, so that norms, averages and optimizer steps are single kernels."""

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
        self.vector = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]), requires_grad=trainable)
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

    def state(self) -> dict[str, Tensor]:
        """Return copies of the parameter vector and of the module's buffers."""
        return {name: tensor.clone() for name, tensor in self._tensors().items()}

    def _tensors(self) -> dict[str, Tensor]:
        buffers = {f"buffer.{name}": buffer for name, buffer in self.module.named_buffers()}
        return {"vector": self.vector.detach(), **buffers}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Copy a state made by `state` into this network.

        Raises:
            ValueError: if the state belongs to another architecture.
        """
        expected = self._tensors()
        if set(expected) != set(state) or any(expected[k].shape != state[k].shape for k in expected):
            raise ValueError("the state belongs to another architecture; build the network it was saved from")
        with torch.no_grad():
            for name, target in expected.items():
                target.copy_(state[name])
