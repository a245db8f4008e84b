from __future__ import annotations

import copy
import itertools
import json
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.data.sampler import PatchSampler
from gan_gym.gan import LOSSES, GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.gan.augment import augmented
from gan_gym.gan.draws import Tape, take
from gan_gym.randomness import generator

MakeTrainer = Callable[..., GANTrainer]
Pair = tuple[nn.Module, nn.Module]
BATCH, SEED = 6, 3


def _source(networks: str) -> Any:
    if networks == "mlp":
        return MixtureSampler.grid()
    pixels = torch.randint(
        256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return PatchSampler(pixels)


def _similarity(x: Tensor) -> Tensor:
    return torch.sigmoid(x.flatten(1).sum(1))


def _plain_loop(pair: Pair, trainer: GANTrainer, n_steps: int) -> tuple[nn.Module, ...]:
    """Train as a PyTorch user would: one optimizer a network, separate passes, no flat vectors.

    What is random is what the untrained `trainer` would draw.
    """
    source, loss, s, config = trainer.source, trainer.loss, trainer.settings, trainer.config
    g, d = pair
    g_ema = copy.deepcopy(g).eval()
    g_optimizer = torch.optim.Adam(g.parameters(), s.g_lr, (s.beta1, config.beta2), foreach=False)
    d_optimizer = torch.optim.Adam(d.parameters(), s.d_lr, (s.beta1, config.beta2), foreach=False)
    n, n_images, n_updates = config.batch_size, 0, round(s.d_steps)
    d_tape = Tape([trainer], "d", [n_updates], n_steps, trainer.device)
    g_tape = Tape([trainer], "g", [1], n_steps, trainer.device)

    def seen(x: Tensor, draws: dict[str, Tensor]) -> Tensor:
        if s.augment_p > 0:
            x = augmented(x, torch.tensor(s.augment_p), draws)
        return x + s.instance_noise * trainer.data_std * draws["noise"] if s.instance_noise > 0 else x

    def norms(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(d(x).sum(), x, create_graph=True)[0].flatten(1).norm(dim=1)

    for step in range(n_steps):
        for update in range(n_updates):
            draws = d_tape(step, update)
            real = source.take(*(draws[name] for name in ("data0", "data1")))
            fake = g(draws["z"]).detach()
            weight = 1 - s.reward_weight * _similarity(fake) if s.reward_weight > 0 else None
            seen_real, seen_fake = seen(torch.cat([real, fake]), draws).chunk(2)
            d_loss = loss.d_loss(d(seen_real), d(seen_fake), weight)
            if step % config.penalty_every == 0:
                lazy = config.penalty_every
                if s.r1_gamma > 0:
                    d_loss = d_loss + lazy * s.r1_gamma / 2 * norms(seen_real).square().mean()
                    if loss.relativistic:
                        d_loss = d_loss + lazy * s.r1_gamma / 2 * norms(seen_fake).square().mean()
                if loss.gradient_penalty:
                    between = seen_real + draws["mix"] * (seen_fake - seen_real)
                    d_loss = d_loss + lazy * loss.gradient_penalty * (norms(between) - 1).square().mean()
            d_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()
        draws = g_tape(step)
        fake = g(draws["z"])
        if loss.relativistic:
            seen_real, seen_fake = seen(torch.cat([real, fake]), draws).chunk(2)
            g_loss = loss.g_loss(d(seen_fake), d(seen_real))
        else:
            g_loss = loss.g_loss(d(seen(fake, draws)), None)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        n_images += n
        halflife = min(config.ema_halflife, n_images / 20)
        keep = 0.5 ** (n / halflife)
        for averaged, now in zip(g_ema.state_dict().values(), g.state_dict().values(), strict=True):
            averaged.copy_(keep * averaged + (1 - keep) * now if now.is_floating_point() else now)
    return g, d, g_ema


SETTINGS = {
    "plain": {},
    "noise, augmentation, three D steps": {"instance_noise": 0.3, "augment_p": 0.5, "d_steps": 3.0},
    "penalised, weighted, no momentum": {"r1_gamma": 2.0, "reward_weight": 0.7, "beta1": 0.0},
}


@pytest.mark.parametrize(
    ("networks", "loss"),
    [*itertools.product(("mlp", "light"), LOSSES), ("light_layer", "wgan_gp"), ("light_spectral", "hinge")],
)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_equals_a_plain_loop(
    double_pair: Callable[..., Pair], networks: str, loss: str, settings: dict[str, float]
) -> None:
    config = TrainerConfig(loss=loss, batch_size=BATCH, penalty_every=2, ema_halflife=15)
    s, source = Settings(**{"g_lr": 2e-3, "d_lr": 1e-3, **settings}), _source(networks)
    pair, same = (double_pair(networks, source.shape, SEED) for _ in range(2))
    trainer = GANTrainer(*pair, source, config, s, seed=SEED, similarity=_similarity)
    references = _plain_loop(same, trainer, 5)
    trainer.train(3)
    trainer.train(2)
    for ours, reference in zip((trainer.g, trainer.d, trainer.g_ema), references, strict=True):
        for name, expected in reference.state_dict().items():
            torch.testing.assert_close(ours.module.state_dict()[name], expected, rtol=1e-3, atol=2e-5)


def test_same_seed_same_run_other_seed_other_run_global_random_state_untouched(
    make_trainer: MakeTrainer,
) -> None:
    def states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    vectors = []
    for seed in (1, 1, 2):
        trainer = make_trainer(seed=seed, instance_noise=0.1, augment_p=0.5, r1_gamma=1.0)
        trainer.train(3)
        vectors.append(trainer.g.vector.detach())
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])
    assert states() == before


@pytest.mark.parametrize("loss", ["wgan_gp", "relativistic"])
def test_state_continues_bit_for_bit(make_trainer: MakeTrainer, loss: str) -> None:
    live = {"instance_noise": 0.1, "augment_p": 0.3, "r1_gamma": 0.5, "d_steps": 2.0, "g_update_ratio": 1e-3}
    first = make_trainer(loss, **live)
    first.train(6)
    tensors, values = first.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    after = first.train(7)
    second = make_trainer(loss)
    second.load_state((tensors, json.loads(json.dumps(values))))
    assert second.settings == Settings(**live)
    assert second.train(7) == after
    (left, left_values), (right, right_values) = first.state(), second.state()
    assert left_values == right_values
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert all(torch.equal(kept[name], tensors[name]) for name in kept), (
        "a state changed while training went on"
    )


def test_state_of_another_architecture_is_refused_whole(make_trainer: MakeTrainer) -> None:
    images = GANTrainer(*build_networks("light", (3, 16, 16), 0), _source("light"))
    trainer = make_trainer()
    before, _ = trainer.state()
    tensors, values = trainer.state()
    for wrong in (images.state()[0], {k: v for k, v in tensors.items() if k != "d_optimizer.exp_avg"}):
        with pytest.raises(ValueError, match="another architecture"):
            trainer.load_state((wrong, values))
    after, _ = trainer.state()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("ratio", "d_steps"), [(1e-4, 1), (1e-2, 1), (1e-3, 3)])
def test_update_ratios_hold_the_asked_relative_change(
    make_trainer: MakeTrainer, ratio: float, d_steps: int
) -> None:
    trainer = make_trainer(g_update_ratio=ratio, d_update_ratio=2 * ratio, d_steps=d_steps)
    trainer.train(40)
    changes = []
    for _ in range(20):
        before = trainer.g.vector.detach().clone(), trainer.d.vector.detach().clone()
        trainer.train(1)
        after = trainer.g.vector.detach(), trainer.d.vector.detach()
        changes.append([float((a - b).norm() / b.norm()) for a, b in zip(after, before, strict=True)])
    g_change, d_change = np.median(changes, 0)
    assert g_change == pytest.approx(ratio, rel=0.35)
    assert d_change == pytest.approx(2 * ratio * d_steps, rel=0.35)


def test_first_step_of_an_update_ratio_is_exact(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(g_update_ratio=1e-3)
    before = trainer.g.vector.detach().clone()
    trainer.train(1)
    change = (trainer.g.vector.detach() - before).norm() / before.norm()
    moving = (trainer.g_moments["exp_avg"] != 0).float().mean()  # Adam's first step is the same for all these
    assert float(change) == pytest.approx(1e-3 * float(moving.sqrt()), rel=1e-2)


def test_averaging_follows_its_formula_and_ramps_up(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(batch_size=8)
    assert trainer.config.ema_halflife == 2500
    averaged = trainer.g_ema.vector.detach().clone()
    for step in range(1, 7):
        trainer.train(1)
        keep = 0.5 ** (8 / min(2500, 8 * step / 20))
        averaged = keep * averaged + (1 - keep) * trainer.g.vector.detach()
        torch.testing.assert_close(trainer.g_ema.vector.detach(), averaged, rtol=1e-5, atol=1e-6)
    trainer.n_images = 10**6
    assert 1 - trainer.averaging_weight() == pytest.approx(0.5 ** (8 / 2500))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lr", [1e4, 1e6, 1e12])
def test_divergence_is_seen_and_statistics_stay_finite(
    make_trainer: MakeTrainer, loss: str, lr: float
) -> None:
    trainer = make_trainer(loss, g_lr=lr, d_lr=lr, r1_gamma=0.1)
    for _ in range(5):
        statistics = trainer.train(2)
        assert all(math.isfinite(value) for value in statistics.as_dict().values())
        if statistics.diverged:
            return
    pytest.fail(f"learning rate {lr:g} did not diverge")


@pytest.mark.parametrize("network", ["g", "d"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_one_bad_weight_is_divergence(make_trainer: MakeTrainer, network: str, value: float) -> None:
    trainer = make_trainer()
    healthy = trainer.train(2)
    assert not healthy.diverged
    getattr(trainer, network).vector.data[0] = value
    statistics = trainer.train(1)
    assert statistics.diverged
    assert all(math.isfinite(v) for v in statistics.as_dict().values())


def test_second_moments_that_overflow_are_divergence(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    trainer.d_moments["exp_avg_sq"][0] = math.inf
    trainer.train(1)
    assert bool(trainer.d.vector.isfinite().all())
    assert trainer.statistics.diverged


def test_statistics_are_what_they_say(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(g_lr=0, d_lr=0, beta1=0)
    s = trainer.train(1)
    assert s.d_loss == pytest.approx(math.log(4), abs=0.2)
    assert (s.g_loss_std, s.d_loss_std, s.g_step_ratio, s.d_straightness) == (0, 0, 0, 0)
    fresh = make_trainer()
    draws = Tape([fresh], "d", [1], 1, fresh.device)(0)
    with torch.no_grad():
        real = fresh.d(take(fresh.drawn, draws))
        fake = fresh.d(fresh.g(draws["z"]))
    assert s.score_real == pytest.approx(float(real.mean()), abs=1e-5)
    assert s.score_fake == pytest.approx(float(fake.mean()), abs=1e-5)
    assert s.sign_real == pytest.approx(float(real.sign().mean()))
    spread = (real.var(correction=0) + fake.var(correction=0)) / 2
    assert s.score_gap == pytest.approx(float((real.mean() - fake.mean()) / spread.sqrt()), rel=1e-3)
    assert s.g_grad_norm == pytest.approx(
        float(trainer.g_moments["exp_avg"].square().mean().sqrt()), rel=1e-4
    )


def test_one_step_is_straight_and_many_are_not(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(g_lr=1e-2, d_lr=1e-2)
    one, many = trainer.train(1), trainer.train(60)
    assert one.g_straightness == pytest.approx(1, abs=1e-3)
    assert one.d_straightness == pytest.approx(1, abs=1e-3)
    assert many.g_straightness < 0.8


def test_similarity_is_asked_only_while_it_weighs(make_trainer: MakeTrainer) -> None:
    asked: list[int] = []

    def similarity(x: Tensor) -> Tensor:
        asked.append(len(x))
        return torch.ones(len(x))

    trainer = make_trainer(similarity=similarity)
    trainer.train(1)
    assert asked == []
    trainer.settings = Settings(reward_weight=1.0, d_steps=2)
    statistics = trainer.train(1)
    assert asked == [8, 8]
    assert statistics.d_loss < math.log(4) - 0.3, "the fake term is silenced where all is similar"
    with pytest.raises(ValueError, match="reward_weight"):
        make_trainer(reward_weight=0.5).train(1)


def test_samples_come_from_the_averaged_generator_and_move_nothing(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(g_lr=1e-2)
    trainer.train(3)
    before, _ = trainer.state()
    z = trainer.latents(5, generator(0, "z"))
    torch.testing.assert_close(trainer.sample(z), trainer.g_ema.module(z).detach())
    after, _ = trainer.state()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("g_lr", -1.0),
        ("d_lr", math.nan),
        ("instance_noise", math.inf),
        ("reward_weight", 1.1),
        ("augment_p", 2.0),
        ("beta1", 1.0),
        ("d_steps", 0.5),
        ("r1_gamma", "much"),
    ],
)
def test_settings_name_what_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("penalty_every", 1.5), ("beta2", 1.0)])
def test_config_names_what_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        TrainerConfig(**{name: value})
    with pytest.raises(ValueError, match="did you mean 'hinge'"):
        TrainerConfig(loss="hinged")


def test_no_steps_are_refused(make_trainer: MakeTrainer) -> None:
    with pytest.raises(ValueError, match="n_steps is 0"):
        make_trainer().train(0)
