"""What the similarity statistics need of distances, for many sets of fakes at once.

A set of 400 fakes has 200,000 distances to its references: what costs time is how often they pass through
memory, so they are computed into buffers that stay in a CPU's cache, and each pair of fakes only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_CACHED = 2**18
"""Distances a thread holds at a time on a CPU: what two buffers of them take fits its second-level cache."""
_PARALLEL = 2**24
"""Distances held at a time elsewhere: enough to fill a GPU, and little of its memory."""
_PLAIN = 3
"""Dimensions up to which differences are squared one by one: no slower there, and nothing cancels."""


@dataclass(frozen=True)
class Measured:
    """What the scores need of the distances of n sets of N fakes, to R references and among themselves."""

    nearest_real: Tensor
    """Squared distance of each fake to its nearest reference, `(n, N)`."""
    nearest_fake: Tensor
    """Squared distance of each reference to its nearest fake, `(n, R)`."""
    spread: Tensor
    """Mean distance of two fakes, `(n,)`."""
    kernels_across: Tensor
    """Mean of each Gaussian kernel over fakes and references, `(n, K)`."""
    kernels_among: Tensor
    """Mean of each Gaussian kernel over pairs of fakes, `(n, K)`."""


@torch.no_grad()
def measure(fakes: Tensor, real: Tensor, widths: Sequence[float]) -> Measured:
    """Measure sets of fakes `(n, N, D)` against references `(R, D)`, with kernels of these widths."""
    n_fakes = fakes.shape[1]
    n_distances = n_fakes * max(n_fakes, len(real))
    at_a_time = max(1, _room(fakes.device) // n_distances)
    buffers = fakes.new_empty(2, min(at_a_time, len(fakes)) * n_distances)
    parts = [_measure(part, real, widths, buffers) for part in torch.split(fakes, at_a_time)]
    return Measured(
        *(torch.cat(tensors) if len(parts) > 1 else tensors[0] for tensors in zip(*parts, strict=True))
    )


@torch.no_grad()
def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared distances `(N, M)` of points `(N, D)` to points `(M, D)`."""
    out, spare = x.new_empty(2, len(x) * len(y))
    return _across(x[None], y, out, spare)[0]


def _room(device: torch.device) -> int:
    return _CACHED * torch.get_num_threads() if device.type == "cpu" else _PARALLEL


def _measure(fakes: Tensor, real: Tensor, widths: Sequence[float], buffers: Tensor) -> tuple[Tensor, ...]:
    n_pairs = fakes.shape[1] * (fakes.shape[1] - 1) // 2
    out, spare = buffers
    across = _across(fakes, real, out, spare)
    nearest = across.amin(dim=2), across.amin(dim=1)
    kernels_across = _kernel_means(across.flatten(1), widths, spare, across[0].numel())
    among = _among(fakes, out, spare)
    spread = torch.sqrt(among, out=_view(spare, among.shape))[:, :n_pairs].mean(dim=1)
    return *nearest, spread, kernels_across, _kernel_means(among, widths, spare, n_pairs)


def _view(buffer: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the beginning of a flat buffer in this shape."""
    return buffer[: torch.Size(shape).numel()].view(shape)


def _across(x: Tensor, y: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """Return the squared distances `(n, N, M)` of points `(n, N, D)` to points `(M, D)`, in `out`."""
    out = _view(out, (*x.shape[:2], len(y)))
    if x.shape[2] <= _PLAIN:
        columns, others = x.movedim(2, 0).contiguous(), y.t().contiguous()
        return _squares(columns[..., None], others[:, None, None], out, _view(spare, out.shape))
    torch.baddbmm(y.square().sum(dim=1), x, y.t().expand(len(x), -1, -1), alpha=-2, out=out)
    return out.add_(x.square().sum(dim=2, keepdim=True)).clamp_min_(0)


def _among(x: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """Return the squared distances among points `(n, N, D)`, each pair once.

    In dimensions up to `_PLAIN` point i meets i + 1, i + 2, ..., N // 2 steps around a circle: N (N - 1) / 2
    pairs in a row, and behind them, for an even N, those of the last round that have met before.
    """
    n, n_points, dim = x.shape
    if dim <= _PLAIN:
        columns = x.movedim(2, 0).contiguous()
        rounds = (dim, n, n_points // 2, n_points)
        twice = torch.cat([columns, columns], dim=2)
        met = twice.as_strided(rounds, (*twice.stride()[:2], 1, 1), storage_offset=1)
        shape = rounds[1:]
        return _squares(columns[:, :, None], met, _view(out, shape), _view(spare, shape)).flatten(1)
    out = _view(out, (n, n_points, n_points))
    squares = x.square().sum(dim=2, keepdim=True)
    torch.baddbmm(squares.mT, x, x.mT, alpha=-2, out=out).add_(squares).clamp_min_(0)
    first, second = torch.triu_indices(n_points, n_points, 1, device=x.device)
    return out.flatten(1).index_select(1, first * n_points + second)


def _squares(x: Tensor, y: Tensor, out: Tensor, spare: Tensor) -> Tensor:
    """Return, in `out`, the sum over the first dimension of the squared differences of `x` and `y`."""
    torch.sub(x[0], y[0], out=out).square_()
    for left, right in zip(x[1:], y[1:], strict=True):
        torch.sub(left, right, out=spare)
        out.addcmul_(spare, spare)
    return out


def _kernel_means(squared: Tensor, widths: Sequence[float], spare: Tensor, n: int) -> Tensor:
    """Return the mean `(m, K)` of each Gaussian kernel over the first `n` of squared distances `(m, P)`.

    The distances are lost: they become the exponents of each kernel in turn, from the widest on.
    """
    kernel = _view(spare, squared.shape)
    means, factor = [], 1.0
    for width in sorted(widths, reverse=True):
        exponent = -0.5 / width**2
        squared.mul_(exponent / factor).clamp_(min=-80)  # denormal results would be 90 times slower
        means.append(torch.exp(squared, out=kernel)[:, :n].mean(dim=1))
        factor = exponent
    return torch.stack(means[::-1], dim=1)
