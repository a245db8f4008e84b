"""What a block of inner steps tells about itself, read from the device once per block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Statistics of one block of inner steps; means over the block's steps unless said otherwise."""

    g_loss: float = 0.0
    """The generator's loss."""
    d_loss: float = 0.0
    """The discriminator's loss, penalties left out."""
    g_loss_std: float = 0.0
    """Standard deviation of the generator's loss over the block."""
    d_loss_std: float = 0.0
    """Standard deviation of the discriminator's loss over the block."""
    score_real: float = 0.0
    """Mean logit of real data."""
    score_fake: float = 0.0
    """Mean logit of generated data."""
    score_gap: float = 0.0
    """Sensitivity index d' = (score_real - score_fake) / pooled standard deviation of the logits."""
    sign_real: float = 0.0
    """E sign D(real), the overfitting statistic of StyleGAN2-ADA (arXiv 2006.06676, eq. 1)."""
    sign_fake: float = 0.0
    """E sign D(fake)."""
    g_grad_norm: float = 0.0
    """Root mean square of the generator's gradient entries."""
    d_grad_norm: float = 0.0
    """Root mean square of the discriminator's gradient entries."""
    g_step_ratio: float = 0.0
    """Relative weight change per step of the generator, |dw| / |w|."""
    d_step_ratio: float = 0.0
    """Relative weight change per step of the discriminator, |dw| / |w|."""
    g_straightness: float = 0.0
    """Distance the generator moved in the block over the length of its path (1 straight, 0 in circles)."""
    d_straightness: float = 0.0
    """The same for the discriminator."""
    diverged: bool = False
    """Whether a loss, gradient, update or weight was not finite; the others then hold their last finite
    values."""

    def as_dict(self) -> dict[str, float]:
        """Return the fields by name."""
        return dict(vars(self))


class Recorder:
    """Collects a block's tensors without reading them; `batch` is `(n,)` of a population, `()` of a GAN."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.logits: list[Tensor] = []
        self.norms: list[Tensor] = []

    def step(self, g_loss: Tensor, d_loss: Tensor, logits: Tensor) -> None:
        """Record one inner step: losses `batch`, logits of real and fake `(*batch, 2 N)`."""
        self.losses += [g_loss.detach(), d_loss.detach()]
        self.logits.append(logits.detach())

    def measure(self, norms: tuple[Tensor, ...]) -> None:
        """Record six norms of a measured step, each `batch`: gradient, update, weight norm of G, then D."""
        self.norms += norms

    def summary(
        self, last: Sequence[Statistics], moved: Tensor, sizes: tuple[int, int], total: Tensor
    ) -> list[Statistics]:
        """Reduce the block to one `Statistics` a GAN.

        Args:
            last: what to show where a value is not finite, one a GAN.
            moved: `(2, *batch)` distance between the weights after and before the block, for G and D.
            sizes: number of parameters of G and D.
            total: `batch`, finite only if all that was trained is.
        """
        n = len(last)
        losses = torch.stack(self.losses).view(-1, 2, n)
        n_steps = len(losses)
        return summarise(
            last,
            losses=losses.mean(0),
            deviations=losses.std(0, correction=0),
            moments=logit_moments(torch.stack(self.logits).view(n_steps, n, 2, -1)).mean(1).mT,
            norms=torch.stack(self.norms).view(-1, 2, 3, n).mean(0),
            moved=moved.view(2, n),
            sizes=sizes,
            n_steps=n_steps,
            total=total.view(1, n),
        )


def logit_moments(logits: Tensor) -> Tensor:
    """Return mean, variance and mean sign of logits `(..., N)`, `(3, ...)`."""
    return torch.stack([logits.mean(-1), logits.var(-1, correction=0), logits.sign().mean(-1)])


def summarise(
    last: Sequence[Statistics],
    *,
    losses: Tensor,
    deviations: Tensor,
    moments: Tensor,
    norms: Tensor,
    moved: Tensor,
    sizes: tuple[int, int],
    n_steps: int,
    total: Tensor,
) -> list[Statistics]:
    """Return the statistics of a block of n GANs from means over its steps; reads the device once.

    Args:
        last: what to show where a value is not finite, one a GAN.
        losses: `(2, n)` of G and D.
        deviations: `(2, n)`, standard deviations of the losses.
        moments: `(3, 2, n)`, `logit_moments` of real and fake.
        norms: `(2, 3, n)`, gradient, update and weight norm of G and D.
        moved: `(2, n)`, distance between the weights after and before the block.
        sizes: number of parameters of G and D.
        n_steps: inner steps of the block.
        total: `(1, n)`, finite only if all that was trained is.
    """
    gradient, update, weight = norms.unbind(1)
    scores, variances, signs = moments
    spread = variances.mean(0).sqrt()
    entries = torch.tensor(sizes, device=norms.device).sqrt().unsqueeze(1)
    values = torch.cat(
        [
            losses,
            deviations,
            scores,
            ((scores[0] - scores[1]) / (spread + 1e-6)).unsqueeze(0),
            signs,
            gradient / entries,
            update / (weight + 1e-12),
            moved / (update * n_steps + 1e-12),
            total,
        ]
    ).T.tolist()
    names = [name for name in Statistics.__dataclass_fields__ if name != "diverged"]
    summaries = []
    for row, before in zip(values, last, strict=True):
        finite = {name: value for name, value in zip(names, row, strict=False) if math.isfinite(value)}
        summaries.append(replace(before, **finite, diverged=not all(map(math.isfinite, row))))
    return summaries
