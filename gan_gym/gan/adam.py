"""Adam for many networks at once, each with its own rates."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8
"""As in `torch.optim.Adam`."""

TINY = 1e-30
"""Added to second moments before the root, where it is lost in `EPSILON`: roots of 0 take 30 times longer."""

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
        lr: `(*lead)` learning rates, of the vector's dtype.
        beta1: `(*lead)` first-moment decays, too.
        beta2: second-moment decay.
        active: `(*lead)` which networks take the step; the others stay as they are. `None`: all.
    """
    mean, square, step = (moments[name] for name in ("exp_avg", "exp_avg_sq", "step"))
    lr, first, second = (
        lr.unsqueeze(-1),
        (1 - beta1).unsqueeze(-1),
        torch.full_like(lr, 1 - beta2).unsqueeze(-1),
    )
    if active is None:
        step += 1
    else:
        on = active.to(lr.dtype)
        gradient = torch.where(active.unsqueeze(-1), gradient, 0)  # 0 times what is not finite is not 0
        step += on
        lr, first, second = (column * on.unsqueeze(-1) for column in (lr, first, second))
    # m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), its numerator and denominator times sqrt(1 - b2^t)
    count = step.clamp_min(1).unsqueeze(-1)  # a network that has taken no step is not active
    scale = (1 - beta2**count).sqrt_()
    rate = lr * scale / (1 - beta1.unsqueeze(-1) ** count)
    mean.lerp_(gradient, first)
    squared = gradient.square()
    square.lerp_(squared, second)
    root = torch.add(square, TINY, out=squared).sqrt_().add_(EPSILON * scale)
    vector.addcmul_(torch.div(mean, root, out=root), rate, value=-1)
