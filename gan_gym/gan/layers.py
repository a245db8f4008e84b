"""Layers whose weights may belong to many networks at once.

With the weights of one network they are PyTorch's layers. With weights stacked along a leading axis of n
networks, each network sees its own inputs in the same few kernels: `Linear` and `BatchNorm1d` take `(n, N,
D)`, the layers of images take `(N, n C, H, W)`, the networks' channels beside each other (`fold` and `unfold`
go between this and `(n, N, C, H, W)`).

A network built from these layers alone, whose `forward` takes a leading axis too, can be trained in a
population: it says so by `stackable = True`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fold(x: Tensor) -> Tensor:
    """Put the channels of n networks' images `(n, N, C, H, W)` beside each other: `(N, n C, H, W)`."""
    return x.transpose(0, 1).flatten(1, 2) if x.ndim == 5 else x


def unfold(x: Tensor, like: Tensor) -> Tensor:
    """Undo `fold` where `like`, an input or output of all the networks, has a leading axis of networks."""
    return x.view(len(x), len(like), -1, *x.shape[2:]).transpose(0, 1)


class Linear(nn.Linear):
    """`nn.Linear`, of n networks `(n, N, D)` to `(n, N, K)`."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply each network's weights to its own inputs."""
        if self.weight.ndim == 2:
            return super().forward(input)
        bias: Tensor | None = self.bias
        if bias is None:
            return torch.bmm(input, self.weight.mT)
        return torch.baddbmm(bias.unsqueeze(1), input, self.weight.mT)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, of n networks as one convolution of n groups."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply each network's kernels to its own channels."""
        if self.weight.ndim == 4:
            return super().forward(input)
        bias = None if self.bias is None else self.bias.flatten()
        weight = self.weight.flatten(0, 1)
        return F.conv2d(input, weight, bias, self.stride, self.padding, groups=len(self.weight))


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d`, of n networks as one convolution of n groups."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Apply each network's kernels to its own channels."""
        if self.weight.ndim == 4:
            return super().forward(input, output_size)
        bias = None if self.bias is None else self.bias.flatten()
        weight = self.weight.flatten(0, 1)
        padding = 0 if isinstance(self.padding, str) else self.padding  # PyTorch takes no names here
        return F.conv_transpose2d(input, weight, bias, self.stride, padding, groups=len(self.weight))


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`: a network's statistics are of its own channels anyway."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise every channel over the batch."""
        if self.weight.ndim == 1:
            return super().forward(input)
        return _normalise(self, input)


class BatchNorm1d(nn.BatchNorm1d):
    """`nn.BatchNorm1d`, of n networks `(n, N, D)`, each over its own batch."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise every feature over the batch."""
        if self.weight.ndim == 1:
            return super().forward(input)
        features = input.transpose(0, 1)
        return _normalise(self, features.flatten(1)).view(features.shape).transpose(0, 1)


def _normalise(layer: nn.BatchNorm1d | nn.BatchNorm2d, input: Tensor) -> Tensor:
    """Normalise the channels of n networks, side by side, by stacked weights and statistics."""
    mean, var = layer.running_mean, layer.running_var
    if layer.training and layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
    return F.batch_norm(
        input,
        None if mean is None else mean.view(-1),
        None if var is None else var.view(-1),
        layer.weight.flatten(),
        layer.bias.flatten(),
        layer.training or mean is None,
        0.0 if layer.momentum is None else layer.momentum,
        layer.eps,
    )


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` of n networks, whose groups do not mix."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise every group of channels of every sample."""
        if self.weight.ndim == 1:
            return super().forward(input)
        groups = len(self.weight) * self.num_groups
        return F.group_norm(input, groups, self.weight.flatten(), self.bias.flatten(), self.eps)


class SpectralNorm(nn.Module):
    """Divide weights by their largest singular value (Miyato et al. 2018, arXiv 1802.05957, eq. 8).

    A parametrization for `torch.nn.utils.parametrize`. The power iteration starts anew from one fixed vector
    at every pass, where the paper goes on from the last one: a network stays a function of its weights alone,
    however often and on whatever it is called.

    Args:
        ndim: dimensions of one network's weight, output channels first.
    """

    n_iterations = 10

    def __init__(self, ndim: int) -> None:
        super().__init__()
        self.ndim = ndim

    def forward(self, weight: Tensor) -> Tensor:
        """Return `weight`, of one network or `(n, ...)` of n, with spectral norm 1."""
        matrix = weight.flatten(1 - self.ndim)
        with torch.no_grad():
            v = torch.ones_like(matrix[..., :1, :]).mT
            for _ in range(self.n_iterations):
                u = F.normalize(matrix @ v, dim=-2)
                v = F.normalize(matrix.mT @ u, dim=-2)
        sigma = (u.mT @ matrix @ v).flatten(-2)
        return weight / sigma.view(*sigma.shape[:-1], *(1,) * self.ndim)


class Maxout(nn.Module):
    """The largest of every unit's `n_pieces` linear pieces (Goodfellow et al. 2013, arXiv 1302.4389).

    Takes `(..., n_pieces K)` features to `(..., K)`: unit k's pieces are the features k, K + k, 2 K + k, ...
    It has no weights, so any leading axes do.

    Args:
        n_pieces: linear pieces of a unit.
    """

    def __init__(self, n_pieces: int) -> None:
        super().__init__()
        self.n_pieces = n_pieces

    def forward(self, input: Tensor) -> Tensor:
        """Return each unit's largest piece."""
        return input.view(*input.shape[:-1], self.n_pieces, -1).amax(-2)

    def extra_repr(self) -> str:
        """Return what tells two such layers apart."""
        return f"n_pieces={self.n_pieces}"
