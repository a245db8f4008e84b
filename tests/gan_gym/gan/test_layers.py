from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_gym.gan.layers import BatchNorm1d, Maxout

X = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))


def _norm(weight: Tensor, bias: Tensor, like: type[nn.BatchNorm1d]) -> nn.BatchNorm1d:
    layer = like(weight.shape[-1])
    layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
    return layer


def _stack() -> tuple[BatchNorm1d, list[nn.BatchNorm1d]]:
    """Return a layer of three networks, and PyTorch's layer of each."""
    weight, bias = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1)).unbind()
    stack = _norm(weight, bias, BatchNorm1d)
    singles = [_norm(w, b, nn.BatchNorm1d) for w, b in zip(weight, bias, strict=True)]
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        getattr(stack, name).data = torch.stack([getattr(single, name) for single in singles])
    return stack, singles


def test_stacked_batch_norm_equals_that_of_each_network() -> None:
    stack, singles = _stack()
    for training in (True, True, False):
        stack.train(training)
        expected = torch.stack([single.train(training)(x) for single, x in zip(singles, X, strict=True)])
        torch.testing.assert_close(stack(X), expected)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        expected = torch.stack([getattr(single, name) for single in singles])
        torch.testing.assert_close(getattr(stack, name), expected)


def test_one_batch_norm_is_pytorchs() -> None:
    (_, (single, *_)), x = _stack(), X[0]
    own = _norm(single.weight.data, single.bias.data, BatchNorm1d)
    torch.testing.assert_close(own(x), single(x))


def test_maxout_takes_the_largest_piece_of_every_unit() -> None:
    pieces = torch.randn(5, 2, 6, 3, generator=torch.Generator().manual_seed(2))
    flat = pieces.permute(1, 2, 0, 3).flatten(-2)  # unit k's pieces are k, 3 + k, 6 + k, ...
    torch.testing.assert_close(Maxout(5)(flat), pieces.amax(0))


def test_only_the_largest_piece_learns() -> None:
    x = torch.tensor([[1.0, 5.0, 3.0, 2.0]], requires_grad=True)
    Maxout(2)(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_maxouts_of_different_pieces_are_told_apart() -> None:
    """A population holds networks of one architecture, which it reads off their `repr`."""
    assert repr(Maxout(2)) != repr(Maxout(4))
