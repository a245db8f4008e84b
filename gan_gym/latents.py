"""Ways through the space of latents."""

from __future__ import annotations

from torch import Tensor


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Return the point at share `t` of the arc from `a` to `b`, `(..., D)`, its length between theirs.

    A straight line between normal latents passes near the origin, where a normal has hardly any mass in many
    dimensions; the arc stays among lengths that a generator knows.

    Args:
        a: where it begins.
        b: where it ends.
        t: share of the way, in [0, 1]; a tensor of shape `(..., 1)`, or one number for all.

    References:
        Shoemake 1985, "Animating rotation with quaternion curves", SIGGRAPH; for latents White 2016,
        "Sampling generative networks", https://arxiv.org/abs/1609.04468.
    """
    lengths = [x.norm(dim=-1, keepdim=True) for x in (a, b)]
    directions = a / lengths[0], b / lengths[1]
    cosine = (directions[0] * directions[1]).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = cosine.arccos()
    shares = ((1 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()
    direction = shares[0] * directions[0] + shares[1] * directions[1]
    point: Tensor = direction * ((1 - t) * lengths[0] + t * lengths[1])
    return point
