"""Adam for many networks at once, each with its own rates."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8
"""As in `torch.optim.Adam`."""

Moments = dict[str, Tensor]
"""`exp_avg` and `exp_avg_sq` `(*lead, P)`, and `step` `(*lead)`, as in the state of `torch.optim.Adam`."""


def no_moments(vector: Tensor) -> Moments:
    """Return the moments of a vector before its first step."""
    zeros = torch.zeros_like(vector, requires_grad=False)
    return {"exp_avg": zeros, "exp_avg_sq": zeros.clone(), "step": torch.zeros((), device=vector.device)}


@torch.no_grad()
def adam_(
    vector: Tensor,
    gradient: Tensor,
    moments: Moments,
    *,
    lr: Tensor,
    beta1: Tensor,
    beta2: float,
    active: Tensor | None = None,
) -> None:
    """Take a step of Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) in place, with no tensor read.

    New tensors of this size cost more than the arithmetic, so there are few.

    Args:
        vector: `(*lead, P)` weights.
        gradient: the same shape.
        moments: changed too.
        lr: `(*lead)` float64 learning rates.
        beta1: `(*lead)` float64 first-moment decays.
        beta2: second-moment decay.
        active: `(*lead)` which networks take the step; the others stay as they are. `None`: all.
    """
    mean, square, step = (moments[name] for name in ("exp_avg", "exp_avg_sq", "step"))
    on = torch.ones_like(lr) if active is None else active.to(lr.dtype)
    step += on.to(step.dtype)
    first, second = (1 - beta1) * on, (1 - beta2) * on
    mean.lerp_(gradient, first.to(mean.dtype).unsqueeze(-1))
    squared = gradient.square()
    square.lerp_(squared, second.to(mean.dtype).unsqueeze(-1))
    # m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), its numerator and denominator times sqrt(1 - b2^t)
    count = step.double().clamp_min(1)  # a network that has taken no step is not active
    scale = (1 - beta2**count).sqrt()
    rate = lr * on * scale / (1 - beta1**count)
    root = torch.sqrt(square, out=squared).add_((EPSILON * scale).to(mean.dtype).unsqueeze(-1))
    vector.addcdiv_(mean * rate.to(mean.dtype).unsqueeze(-1), root, value=-1)
