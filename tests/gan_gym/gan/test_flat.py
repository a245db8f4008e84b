from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gan_gym.gan import GANTrainer, TrainerConfig, build_networks
from gan_gym.gan.flat import FlatModule, joined, views
from gan_gym.gan.population import Population, can_batch

SHAPES = [torch.Size(shape) for shape in ((4, 3), (4,), (2, 3, 5, 5), (1,))]
MakeTrainer = Callable[..., GANTrainer]


@pytest.mark.parametrize("lead", [(), (3,)])
def test_joined_undoes_views(lead: tuple[int, ...]) -> None:
    vector = torch.randn(*lead, sum(shape.numel() for shape in SHAPES))
    parts = views(vector, SHAPES)
    assert [part.shape for part in parts] == [(*lead, *shape) for shape in SHAPES]
    assert torch.equal(joined(parts, SHAPES), vector)
    assert torch.equal(joined([part.contiguous() for part in parts], SHAPES), vector)


@pytest.mark.parametrize("networks", ["light", "residual"])
def test_a_stack_is_its_networks(networks: str) -> None:
    """Outputs, gradients, second derivatives and buffers; the networks themselves stay as they are."""
    ds = [FlatModule(build_networks(networks, (3, 16, 16), seed)[1].double()) for seed in range(3)]
    before = [d.vector.detach().clone() for d in ds]
    stack = FlatModule.stacked(ds)
    x = torch.randn(3, 4, 3, 16, 16, dtype=torch.float64, requires_grad=True)

    def penalised(network: FlatModule, own: Tensor) -> Tensor:
        scores = network(own)
        (slope,) = torch.autograd.grad(scores.sum(), own, create_graph=True)
        return scores.square().sum() + slope.square().sum()

    gradient = stack.differentiate(penalised(stack, x))
    expected = torch.stack([d.differentiate(penalised(d, row)) for d, row in zip(ds, x, strict=True)])
    torch.testing.assert_close(gradient, expected)
    assert all(torch.equal(d.vector.detach(), old) for d, old in zip(ds, before, strict=True))


def test_parameters_that_play_no_part_have_no_gradient() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.used

    network = FlatModule(Half())
    assert network.differentiate(network(torch.ones(1, 2)).sum()).tolist() == [1, 1, 0, 0, 0]


def _with_frozen_layers(make: MakeTrainer, seed: int) -> GANTrainer:
    like = make(seed=seed)
    networks = build_networks("mlp", (2,), seed)
    for network in networks:
        next(network.parameters()).requires_grad_(False)
    return GANTrainer(*networks, like.source, like.config, seed=seed)


def test_frozen_parameters_stay_as_they_are_and_belong_to_the_state(make_trainer: MakeTrainer) -> None:
    trainer, other = (_with_frozen_layers(make_trainer, seed) for seed in (0, 1))
    frozen = [next(network.module.parameters()) for network in (trainer.g, trainer.d, trainer.g_ema)]
    before = [parameter.detach().clone() for parameter in frozen]
    moved = trainer.g.vector.detach().clone()
    trainer.train(5)
    assert all(torch.equal(parameter, old) for parameter, old in zip(frozen, before, strict=True))
    assert not any(parameter.requires_grad for parameter in frozen)
    assert bool((trainer.g.vector.detach() != moved).any())
    assert trainer.g.vector.numel() == make_trainer().g.vector.numel() - frozen[0].numel()
    other.load_state(trainer.state())
    other.seed = trainer.seed
    assert torch.equal(next(other.g.module.parameters()), before[0])
    assert other.train(3) == trainer.train(3)


def test_a_population_keeps_what_each_member_froze(make_trainer: MakeTrainer) -> None:
    together, alone = ([_with_frozen_layers(make_trainer, seed) for seed in (0, 1)] for _ in range(2))
    Population(together).train(together, 3)
    for batched, single in zip(together, alone, strict=True):
        single.train(3)
        (left, _), (right, _) = batched.state(), single.state()
        torch.testing.assert_close(left, right, rtol=2e-3, atol=2e-4)
        assert torch.equal(next(batched.d.module.parameters()), next(single.d.module.parameters()))
    assert not can_batch([together[0], make_trainer(seed=1)])


def test_a_network_that_is_frozen_as_a_whole_is_refused(make_trainer: MakeTrainer) -> None:
    generator, discriminator = build_networks("mlp", (2,), 0)
    with pytest.raises(ValueError, match=r"MLPDiscriminator asks for a gradient.*requires_grad_"):
        GANTrainer(generator, discriminator.requires_grad_(False), make_trainer().source)


def test_bfloat16_is_coarser_and_keeps_weights_and_results_in_float32(make_trainer: MakeTrainer) -> None:
    coarse, exact = (
        GANTrainer(*build_networks("mlp", (2,), 0), make_trainer().source, TrainerConfig(precision=precision))
        for precision in ("bfloat16", "float32")
    )
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    difference = (coarse.sample(z) - exact.sample(z)).abs()
    assert coarse.sample(z).dtype == coarse.g.vector.dtype == torch.float32
    assert 0 < float(difference.max()) < 0.02
    statistics = [trainer.train(10) for trainer in (coarse, exact)]
    assert statistics[0].d_loss == pytest.approx(statistics[1].d_loss, abs=0.02)
    assert statistics[0] != statistics[1]
    with pytest.raises(ValueError, match="did you mean 'bfloat16'"):
        TrainerConfig(precision="bfloat")
