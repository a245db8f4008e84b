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
    assert network.n_calls == 1  # tried once, when the first batch came
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


class Squashed(Linear):
    """The same, squashed in `forward`."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x)).reshape(-1, 1)


class Gated(Linear):
    """The same again; its gate is registered last, and is not what ends it."""

    def __init__(self, *shape: int) -> None:
        super().__init__(*shape)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0 * self.gate(x).sum(1)


@pytest.mark.parametrize(
    "squashed",
    [
        lambda: nn.Sequential(Linear(2), nn.Sigmoid()),
        lambda: nn.Sequential(Linear(2), nn.Unflatten(0, (-1, 1)), nn.Sigmoid(), nn.Flatten()),
        lambda: Squashed(2),
        lambda: Gated(2),
    ],
)
def test_a_discriminator_that_ends_with_a_sigmoid_is_penalised_at_its_logits(squashed) -> None:
    plain, squashed = Linear(2), squashed()
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


def test_a_fused_optimizer_that_divides_by_the_scale_gets_a_scaled_penalty() -> None:
    """The step with a `GradScaler` is the step without."""
    found = []
    for scale in (1.0, 1024.0):
        network, real = Linear(2), torch.randn(8, 2, generator=torch.Generator().manual_seed(1)).double()
        optimizer = optim.SGD(network.parameters(), lr=0.1, fused=True)
        penalty = Penalty(network, optimizer, (-1.0, 1.0))
        penalty.r1_gamma = 0.3
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        for _ in range(EVERY):
            optimizer.zero_grad()
            scaler.scale(network(real).mean()).backward()
            scaler.step(optimizer)
            scaler.update()
            penalty.see(real)
        found.append(network.weight.detach())
    torch.testing.assert_close(found[1], found[0])


def test_half_precision_and_compiled_discriminators_are_penalised() -> None:
    network = Linear(2).float()
    optimizer = _still(network)
    penalty = Penalty(torch.compile(network), optimizer, (-1.0, 1.0))
    penalty.r1_gamma = 0.3
    found = _steps(network, penalty, optimizer, torch.randn(8, 2).bfloat16(), EVERY)
    torch.testing.assert_close(found, 1 + EVERY * 0.3 * network.weight.detach())


class Conditional(Linear):
    """Cannot be called with samples alone."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(x) + y


class Auxiliary(Linear):
    """Returns more than scores."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), x


@pytest.mark.parametrize("kind", [Conditional, Auxiliary])
def test_a_discriminator_that_scores_no_batch_alone_is_refused_at_the_first(kind) -> None:
    network = kind(2)
    network.train()
    penalty = Penalty(network, _still(network), (-1.0, 1.0))
    with pytest.raises(ValueError, match="controller without r1_gamma"):
        penalty.see(torch.randn(8, 2).double())


def test_trying_a_discriminator_leaves_it_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 1))
    network[1].eval()  # frozen by its owner
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in network.state_dict().items()}
    Penalty(network, _still(network), (-1.0, 1.0)).see(torch.randn(8, 2, generator=torch.Generator()))
    assert [module.training for module in network] == [True, False, True, True]
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)


def test_it_goes_on_with_new_batches_when_the_budget_is_spent(stub, loop) -> None:
    plain = loop()
    attached = plain.attach(stub(("r1_gamma",), [1.0]), total_steps=25)
    plain.run(attached, 25)
    assert attached.values["r1_gamma"] > 0
    with pytest.warns(UserWarning, match="more than total_steps"):
        attached.step(**plain.report())
    report = plain.report()
    attached.step(**report)
    assert attached._penalty._real is not None
    torch.testing.assert_close(attached._penalty._real, report["real"])


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
