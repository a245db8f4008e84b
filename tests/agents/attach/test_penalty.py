"""R1 in a loop that knows nothing of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn, optim

from agents.attach.penalty import EVERY, Penalty


class Linear(nn.Module):
    """D(x) = w . x: its slope is w everywhere, so R1 is gamma / 2 |w|^2 and its gradient gamma w."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(*shape, generator=rng, dtype=torch.float64))
        self.n_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.n_calls += 1
        return (x * self.weight).flatten(1).sum(1)


def _steps(network: nn.Module, penalty: Penalty, optimizer: optim.Optimizer, real: Tensor, n: int) -> Tensor:
    """Step as a loop does; return the gradients that the last step took."""
    (weight,) = network.parameters()
    for _ in range(n):
        optimizer.zero_grad()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        penalty.see(real)
    assert weight.grad is not None
    return weight.grad


def _still(network: nn.Module) -> optim.Optimizer:
    return optim.SGD(network.parameters(), lr=0.0)


def test_every_fourth_step_gets_four_times_the_gradient() -> None:
    network, real = Linear(2), torch.randn(8, 2, dtype=torch.float64)
    optimizer = _still(network)
    penalty = Penalty(network, optimizer, (-1.0, 1.0))
    penalty.r1_gamma = 0.3
    for step in range(1, 2 * EVERY + 1):
        found = _steps(network, penalty, optimizer, real, 1)
        added = EVERY * 0.3 * network.weight.detach() if step % EVERY == 0 else 0.0
        torch.testing.assert_close(found, torch.ones(2).double() + added)


def test_a_penalty_that_is_off_costs_nothing_and_one_removed_does_nothing() -> None:
    network, real = Linear(2), torch.randn(8, 2, dtype=torch.float64)
    optimizer = _still(network)
    penalty = Penalty(network, optimizer, (-1.0, 1.0))
    _steps(network, penalty, optimizer, real, 3 * EVERY)
    assert network.n_calls == 0
    penalty.r1_gamma = 1.0
    penalty.see(real)
    penalty.remove()
    torch.testing.assert_close(_steps(network, penalty, optimizer, real, EVERY), torch.ones(2).double())


def test_slopes_are_by_images_from_minus_one_to_one_whatever_the_range() -> None:
    wide, narrow = Linear(3, 4, 4), Linear(3, 4, 4)
    narrow.weight.data *= 2  # the same function of an image whose values lie in [0, 1], up to a constant
    real = torch.rand(8, 3, 4, 4, dtype=torch.float64)
    found = {}
    for name, network, span, x in (("wide", wide, (-1, 1), 2 * real - 1), ("narrow", narrow, (0, 1), real)):
        optimizer = _still(network)
        penalty = Penalty(network, optimizer, span)
        penalty.r1_gamma = 1.0
        found[name] = _steps(network, penalty, optimizer, x, EVERY) - 1
    torch.testing.assert_close(found["wide"], EVERY * wide.weight.detach())
    torch.testing.assert_close(found["narrow"], found["wide"] / 2)  # the same slope by weights twice as large


def test_a_discriminator_that_ends_with_a_sigmoid_is_penalised_at_its_logits() -> None:
    plain = Linear(2)
    squashed = nn.Sequential(Linear(2), nn.Sigmoid())
    real = torch.randn(8, 2, dtype=torch.float64)
    found = []
    for network in (plain, squashed):
        optimizer = _still(network)
        penalty = Penalty(network, optimizer, (-1.0, 1.0))
        penalty.r1_gamma = 0.5
        found.append(_steps(network, penalty, optimizer, real, EVERY))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_it_continues_from_its_state() -> None:
    network, real = Linear(2), torch.randn(8, 2, dtype=torch.float64)
    optimizer = _still(network)
    first = Penalty(network, optimizer, (-1.0, 1.0))
    first.r1_gamma = 0.3
    _steps(network, first, optimizer, real, EVERY - 1)
    state = first.state()
    first.remove()
    second = Penalty(network, optimizer, (-1.0, 1.0))
    second.load_state(state)
    found = _steps(network, second, optimizer, real, 1)  # its penalty is due before it has seen a batch
    torch.testing.assert_close(found, torch.ones(2).double() + EVERY * 0.3 * network.weight.detach())


def test_it_takes_a_module() -> None:
    with pytest.raises(TypeError, match="discriminator is a function"):
        Penalty(lambda x: x, _still(Linear(1)), (-1.0, 1.0))  # type: ignore[arg-type]


def test_a_controller_turns_it(stub, loop) -> None:
    """From off to on; the loop's own gradients are what they were as long as it is off."""
    with_penalty, without = loop(), loop()
    attached = with_penalty.attach(stub(("g_lr", "r1_gamma"), [0, 0], [0, 1.0]), discriminator=with_penalty.d)
    other = without.attach(stub(("g_lr",)))
    with_penalty.run(attached, 10)
    without.run(other, 10)
    assert attached.values["r1_gamma"] == 0.0
    for ours, theirs in zip(with_penalty.d.parameters(), without.d.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    while attached.n_decisions < 2:
        with_penalty.run(attached, 1)
        without.run(other, 1)
    assert attached.values["r1_gamma"] > 0
    with_penalty.run(attached, 2 * EVERY)
    without.run(other, 2 * EVERY)
    pairs = zip(with_penalty.d.parameters(), without.d.parameters(), strict=True)
    assert any(not torch.equal(ours, theirs) for ours, theirs in pairs)
