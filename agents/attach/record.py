"""What a loop reports of its steps, kept where it lies and read once a block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from gan_gym.gan.statistics import Statistics, logit_moments, summarise

REPORTED = ("g_loss", "d_loss", "score_real", "score_fake")
"""What a step reports."""
N_PENDING = 128
"""Steps whose tensors are kept before they are reduced to moments, so that long blocks need little memory."""


@dataclass(frozen=True)
class Summary:
    """A block of steps."""

    statistics: Statistics
    """As the environments have them; a value that is not known is the one known last."""
    n_missing: dict[str, int]
    """Steps in which something was not given, by its name."""
    n_not_finite: dict[str, int]
    """Steps in which something was given and not finite, by its name."""
    never_finite: tuple[str, ...]
    """What was given in some steps and finite in none, and networks whose weights are not finite."""
    is_measured: bool
    """Whether the weight changes of a step were measured."""


class Series:
    """What was reported of one thing, a row a step; NaN where it was not given.

    Args:
        name: the argument it came as.
        is_score: whether it is a batch of logits, of which `logit_moments` are the columns, or a loss, which
            is a column itself.
    """

    def __init__(self, name: str, *, is_score: bool) -> None:
        self._name, self._is_score = name, is_score
        self._rows: list[Tensor] = []
        self._pending: list[Tensor] = []
        self.n_missing = 0
        """Steps in which it was not given."""

    def add(self, value: object) -> None:
        """Add a step without reading a tensor.

        Raises:
            ValueError: if it is no number where a loss is wanted, or no batch where a score is.
        """
        if value is None:
            self._reduce()
            self._rows.append(torch.full((1, 3 if self._is_score else 1), math.nan))
            self.n_missing += 1
            return
        row = _score(self._name, value) if self._is_score else _loss(self._name, value)
        if self._pending and (len(self._pending) == N_PENDING or len(row) != len(self._pending[0])):
            self._reduce()
        self._pending.append(row)

    def _reduce(self) -> None:
        if not self._pending:
            return
        rows = torch.stack([row.to(self._pending[0].device) for row in self._pending])
        if self._is_score:
            n_logits, rows = rows.shape[1], logit_moments(rows).T
            if n_logits == 1:
                rows[:, 1] = math.nan  # one logit has no variance
        self._rows.append(rows)
        self._pending = []

    def rows(self) -> list[Tensor]:
        """Return all rows, in parts `(n, 1)` or `(n, 3)`."""
        self._reduce()
        return self._rows


class Record:
    """The steps of a block."""

    def __init__(self) -> None:
        self._series = {name: Series(name, is_score=name.startswith("score")) for name in REPORTED}
        self._norms: list[Tensor] = []
        self.n_steps = 0
        """Steps recorded."""

    @torch.no_grad()
    def step(self, **reported: object) -> None:
        """Record what a step reports, by the names of `REPORTED`, without reading a tensor.

        Raises:
            ValueError: if a loss is no number or a score no batch.
        """
        for name, series in self._series.items():
            series.add(reported[name])
        self.n_steps += 1

    def measure(self, norms: Sequence[Tensor]) -> None:
        """Record six norms of a measured step, `()` each: gradient, update, weight norm of G, then of D."""
        self._norms += norms

    def summary(self, last: Statistics, moved: Sequence[Tensor], sizes: tuple[int, int]) -> Summary:
        """Reduce the block.

        Args:
            last: what is shown where a value is not known.
            moved: distances of the weights of G and D to where they were before the block, `()` each.
            sizes: number of weights of G and D.
        """
        n, n_norms = self.n_steps, len(self._norms)
        rows = [part for series in self._series.values() for part in series.rows()]
        values = _read([*rows, *self._norms, *moved])
        parts = torch.split(values, [n, n, 3 * n, 3 * n, n_norms, 2])
        known = [torch.where(part.isfinite(), part, math.nan) for part in parts[:4]]
        losses, scores = torch.stack(known[:2]), torch.stack(known[2:]).view(2, n, 3)
        means = losses.nanmean(1, keepdim=True)
        (statistics,) = summarise(
            [last],
            losses=means,
            deviations=(losses - means).square().nanmean(1, keepdim=True).sqrt(),
            moments=scores.nanmean(1).T.unsqueeze(2),
            norms=parts[4].view(-1, 2, 3, 1).mean(0),
            moved=parts[5].view(2, 1),
            sizes=sizes,
            n_steps=n,
            total=torch.zeros(1, 1),
        )
        missing = {name: series.n_missing for name, series in self._series.items()}
        finite = torch.cat([losses, scores[:, :, 0]]).isfinite().sum(1).tolist()
        lost = {name: n - k - missing[name] for name, k in zip(REPORTED, finite, strict=True)}
        never = [name for name in REPORTED if lost[name] == n - missing[name] > 0]
        pairs = zip("gd", parts[5], strict=True)
        never += [f"weights of opt_{side}" for side, distance in pairs if not distance.isfinite()]
        return Summary(
            replace(statistics, diverged=bool(never)),
            n_missing={name: count for name, count in missing.items() if count},
            n_not_finite={name: count for name, count in lost.items() if count},
            never_finite=tuple(never),
            is_measured=n_norms > 0,
        )


def form_of(value: object) -> str:
    """Say in a message what was given."""
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _loss(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.detach().reshape(1).to(torch.float32, copy=True)
    if isinstance(value, Real):
        return torch.tensor([float(value)])
    raise ValueError(f"{name} is {form_of(value)}; give the step's loss, a number or a 0-d tensor, or None")


def _score(name: str, value: object) -> Tensor:
    if isinstance(value, Tensor) and value.is_floating_point() and value.ndim and value.numel():
        return value.detach().flatten().to(torch.float32, copy=True)
    raise ValueError(f"{name} is {form_of(value)}; give the logits of the whole batch, floats (N, ...)")


def _read(parts: Sequence[Tensor]) -> Tensor:
    """Return all parts as one vector on the CPU, by one transfer."""
    device = next((part.device for part in parts if part.device.type != "cpu"), torch.device("cpu"))
    return torch.cat([part.flatten().to(device, torch.float32) for part in parts]).cpu()
