"""The R1 gradient penalty in a loop that knows nothing of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_gym.names import one_line

EVERY = 4
"""Steps of D's optimizer between two penalties, whose weight is multiplied by it, as in `GANTrainer`."""
_STATE = ("r1_gamma", "n_steps")
_RESHAPES = ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "ToCopy", "Alias")
"""Operations, by the names of their gradients, that leave scores as they are."""


class Penalty:
    """Adds the gradient of `r1_gamma / 2 E |grad D(x)|^2` to the discriminator's, right before its steps.

    Mescheder et al. 2018, arXiv 1801.04406, eq. 9. The real samples are those of the step before, which the
    loop has reported: they are as real as the ones at hand. A discriminator whose output is a sigmoid's is
    penalised at its logits. Slopes are by images scaled to [-1, 1], as in `GANTrainer`. Under a `GradScaler`
    whose scale a fused optimizer divides by itself, the gradient is scaled too.

    Args:
        discriminator: takes a real batch alone, in the shape in which it is reported, and returns a tensor.
        optimizer: the discriminator's.
        value_range: lowest and highest value of an image.

    Raises:
        TypeError: if the discriminator is no module.
    """

    def __init__(
        self, discriminator: nn.Module, optimizer: Optimizer, value_range: tuple[float, float]
    ) -> None:
        if not isinstance(discriminator, nn.Module):
            raise TypeError(f"discriminator is a {type(discriminator).__name__}; give the torch.nn.Module")
        self._discriminator: nn.Module = getattr(discriminator, "_orig_mod", discriminator)  # not compiled
        self._unit = (value_range[1] - value_range[0]) / 2
        self._was_tried = False
        self._real: Tensor | None = None
        self.r1_gamma = 0.0
        """Weight of the penalty; 0 is off."""
        self.n_steps = 0
        """Steps of the optimizer."""
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    def see(self, real: Tensor | None) -> None:
        """Keep the real batch of a step for the next penalty.

        Raises:
            ValueError: if the discriminator cannot tell what the first batch is without more.
        """
        if real is None:
            return
        if not self._was_tried:
            self._try(real.detach())
            self._was_tried = True
        if self.r1_gamma > 0:
            self._real = real.detach()

    @torch.no_grad()
    def _try(self, real: Tensor) -> None:
        """Call the discriminator once as penalties will, in evaluation mode, which leaves it as it is."""
        modes = [(module, module.training) for module in self._discriminator.modules()]
        self._discriminator.eval()
        try:
            scores = self._discriminator(self._cast(real))
            if not isinstance(scores, Tensor):
                raise TypeError(f"it returns a {type(scores).__name__}")
        except Exception as error:
            raise ValueError(
                f"discriminator(real) gives no tensor of scores ({one_line(str(error))}), which the R1 "
                "penalty needs; pass a module that takes real alone and returns its logits, or use a "
                "controller without r1_gamma: gan-gym fit-controller --knobs g_lr,d_lr,beta1"
            ) from error
        finally:
            for module, training in modes:
                module.training = training

    def _cast(self, real: Tensor) -> Tensor:
        """Return a batch, which may be of half precision, as the discriminator's weights are."""
        return real.to(next(self._discriminator.parameters()).dtype)

    def remove(self) -> None:
        """Penalise no more."""
        self._handle.remove()
        self._real = None

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.n_steps += 1
        if self.r1_gamma == 0 or self._real is None or self.n_steps % EVERY:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        with torch.enable_grad():
            penalty = EVERY * self.r1_gamma / 2 * self._slopes(self._real).square().sum(1).mean()
            gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
        scale = getattr(optimizer, "grad_scale", None)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                gradient = gradient if scale is None else gradient * scale
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _slopes(self, real: Tensor) -> Tensor:
        """Return the gradient of the logits at every sample, `(N, D)`."""
        x = self._cast(real).clone().requires_grad_(True)
        scores = self._discriminator(x)
        scores = scores.logit(eps=1e-6) if _is_of_sigmoid(scores) else scores
        (slopes,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return slopes.flatten(1) * (self._unit if real.ndim == 4 else 1.0)

    def state(self) -> dict[str, Any]:
        """Return what continues it: JSON-able values, and a copy of the real batch kept for a penalty."""
        real = None if self._real is None else self._real.clone()
        return {**{name: getattr(self, name) for name in _STATE}, "real": real}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a state made by `state`, on the discriminator's device."""
        for name in _STATE:
            setattr(self, name, state[name])
        real, device = state["real"], next(self._discriminator.parameters()).device
        self._real = None if real is None else real.to(device, copy=True)


def _is_of_sigmoid(scores: Tensor) -> bool:
    """Whether a sigmoid made these scores, before they were reshaped."""
    node = scores.grad_fn
    while node is not None and node.name().startswith(_RESHAPES):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("Sigmoid")
