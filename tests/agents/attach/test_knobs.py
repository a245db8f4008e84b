"""Knobs of a loop of one's own are turned exactly as asked."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn, optim

from agents.attach.dials import Dials
from agents.attach.disturbance import Disturbance
from agents.attach.optimizers import TurnedOptimizer
from gan_gym.knobs import IMAGE_SCALE, KNOBS
from gan_gym.randomness import generator

RATES = ("g_lr", "d_lr")
DATA_STD = 1.415
"""Of the loop's points."""
OPTIMIZERS: dict[str, Any] = {
    "sgd": optim.SGD,
    "nesterov": partial(optim.SGD, momentum=0.5, nesterov=True),
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "rmsprop": partial(optim.RMSprop, momentum=0.5),
    "rmsprop without momentum": optim.RMSprop,
}


def weights(network: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def momentum(optimizer: optim.Optimizer) -> float:
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_with_the_values_asked_for(name: str, stub, loop) -> None:
    twice, quarter = np.log([2, 1 / 4]) / np.log(KNOBS["g_lr"].max_factor)
    plain = loop(OPTIMIZERS[name])
    started = plain.opt_g.param_groups[0]["lr"]
    moves = [[twice, quarter, 1.0], [0, 0, -1.0], [0, 0, -1.0], [0, 0, -1.0], [0, 0, 1.0]]
    attached = plain.attach(stub((*RATES, "beta1"), *moves), total_steps=400)
    expected = momentum(plain.opt_g)
    for _, _, move in moves:
        before = attached.n_decisions
        while attached.n_decisions == before:
            plain.run(attached, 1)
        expected = KNOBS["beta1"].move(expected, move)
        assert momentum(plain.opt_g) == momentum(plain.opt_d) == expected
    plain.run(attached, 10)
    assert plain.opt_g.param_groups[0]["lr"] == pytest.approx(2 * started)
    assert plain.opt_d.param_groups[0]["lr"] == pytest.approx(started / 4)
    assert weights(plain.g).isfinite().all()


def test_an_action_of_one_multiplies_by_the_factor_exactly(stub, loop) -> None:
    plain = loop(lr=1e-4)
    player = stub(RATES, [1, 0], [-1, 0.005], [0, -0.3])
    attached = plain.attach(player)
    factor = KNOBS["g_lr"].max_factor
    plain.run(attached, 8)
    assert attached.values == {"g_lr": 1e-4 * factor, "d_lr": 1e-4}
    plain.run(attached, 17)
    assert attached.values == {"g_lr": 1e-4 * factor / factor, "d_lr": 1e-4}
    plain.run(attached, 25)
    assert attached.values["d_lr"] == 1e-4 * KNOBS["d_lr"].max_factor ** np.float32(-0.3).item()
    assert player.seen[-1].shape == (29,)
    np.testing.assert_array_equal(player.seen[1][-2:], [1, 0])


@pytest.mark.parametrize("tensor_lr", [False, True])
def test_groups_keep_the_ratio_of_their_rates(tensor_lr: bool, stub, loop) -> None:
    plain = loop()
    first, *others = plain.g.parameters()
    rates = [torch.tensor(r) if tensor_lr else r for r in (1e-4, 3e-4)]
    plain.opt_g = optim.Adam(
        [{"params": [first], "lr": rates[0]}, {"params": others, "lr": rates[1]}], foreach=False
    )
    attached = plain.attach(stub(RATES, [0.5, 0]))
    plain.run(attached, 10)
    plain.opt_g.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 2e-4})
    plain.run(attached, 20)
    found = [float(group["lr"]) for group in plain.opt_g.param_groups]
    moved = 1e-4 * KNOBS["g_lr"].max_factor ** 0.5
    np.testing.assert_allclose(found, [moved, 3 * moved, 2e-4], rtol=1e-6)
    assert isinstance(plain.opt_g.param_groups[0]["lr"], torch.Tensor) == tensor_lr


def test_groups_that_share_a_tensor_of_a_rate_are_turned_once() -> None:
    rate, layers = torch.tensor(1e-4), [nn.Linear(1, 1) for _ in range(3)]
    turned = TurnedOptimizer("opt_g", optim.Adam([{"params": p.parameters()} for p in layers], lr=rate))
    turned.lr = 3.2e-3
    assert [float(group["lr"]) for group in turned.optimizer.param_groups] == pytest.approx([3.2e-3] * 3)
    assert turned.optimizer.param_groups[0]["lr"] is rate  # a compiled step reads this very tensor


def test_no_ratio_is_asked_for_before_one_was_measured(stub, loop) -> None:
    """Where no step was measured, a ratio is 0, which is none to keep nor to start from."""
    plain = loop(lr=1e-3)
    attached = plain.attach(stub(("g_update_ratio", "d_update_ratio"), [0, 0]), steps_per_decision=25)
    logits = torch.zeros(64)
    for _ in range(10):  # 640 real samples: enough to decide, but no optimizer has stepped
        attached.step(
            g_loss=1.0, d_loss=1.0, score_real=logits, score_fake=logits,
            real=plain.source.batch(64, plain.rng), fake=torch.randn(64, 2, generator=plain.rng),
        )  # fmt: skip
    assert attached.n_decisions == 0
    turned = attached._optimizers[0]
    turned.update_ratio = 0.0
    assert (turned.asked_ratio, turned.lr) == (None, 1e-3)
    plain.run(attached, 100)
    assert attached.n_decisions > 0
    assert all(value > 0 for value in attached.values.values())
    assert turned.lr > 1e-5


@pytest.mark.parametrize(("shape", "scale"), [((2,), 1.0), ((3, 8, 8), IMAGE_SCALE["g_lr"])])
def test_limits_are_those_of_the_samples_and_of_the_optimizer(shape: tuple[int, ...], scale: float) -> None:
    sgd, adam = optim.SGD(nn.Linear(1, 1).parameters()), optim.Adam(nn.Linear(1, 1).parameters())
    turned = TurnedOptimizer("opt_g", sgd), TurnedOptimizer("opt_d", adam)
    g_lr, d_lr, beta1 = Dials((*RATES, "beta1"), *turned, None, None).knobs(shape)
    assert (g_lr.low, g_lr.high) == pytest.approx(
        (100 * scale * KNOBS["g_lr"].low, 100 * scale * KNOBS["g_lr"].high)
    )
    assert (d_lr.low, d_lr.high) == pytest.approx((scale * KNOBS["d_lr"].low, scale * KNOBS["d_lr"].high))
    assert beta1 == KNOBS["beta1"]
    (ratio,) = Dials(("g_update_ratio",), *turned, None, None).knobs(shape)
    assert ratio.high == pytest.approx(scale * KNOBS["g_update_ratio"].high)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_update_ratios_are_reached_and_held(name: str, stub, loop) -> None:
    plain = loop(OPTIMIZERS[name], lr={"adam": 1e-3, "sgd": 0.02, "rmsprop": 1e-4}[name])
    player = stub(("g_update_ratio", "d_update_ratio"), [-0.1, 0.2])
    attached = plain.attach(player)
    plain.run(attached, 8)
    asked = attached.values
    plain.run(attached, 192)
    assert attached.values == asked
    before = weights(plain.g), weights(plain.d)
    ratios = []
    for _ in range(25):
        before = weights(plain.g), weights(plain.d)
        plain.run(attached, 1)
        after = weights(plain.g), weights(plain.d)
        ratios.append([float((a - b).norm() / b.norm()) for a, b in zip(after, before, strict=True)])
    measured = np.mean(ratios, 0)
    np.testing.assert_allclose(measured, list(asked.values()), rtol=0.35)
    assert attached.statistics.d_step_ratio == pytest.approx(measured[1], rel=0.35)


def test_a_ratio_starts_where_the_loop_is() -> None:
    """And follows as in the trainer: each measurement halves the logarithm of the error."""
    layer = nn.Linear(3, 3)
    turned = TurnedOptimizer("opt_g", optim.Adam(layer.parameters(), lr=1e-3))
    turned.learn(torch.tensor(0.02), torch.tensor(10.0), 2)
    assert turned.gain == pytest.approx(1.0)
    assert turned.update_ratio == pytest.approx(1e-3)
    turned.update_ratio = 4e-3
    assert turned.lr == pytest.approx(4e-3)
    turned.learn(torch.tensor(0.04 * 4), torch.tensor(10.0), 1)  # a gain of 4
    assert turned.gain == pytest.approx(2.0)
    assert turned.lr == pytest.approx(2e-3)
    turned.learn(torch.tensor(float("nan")), torch.tensor(10.0), 1)
    turned.learn(torch.tensor(0.0), torch.tensor(10.0), 1)
    assert turned.gain == pytest.approx(2.0)


class Identity(nn.Module):
    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return scale * x


X = torch.rand(64, 3, 16, 16, generator=generator(0, "x"))


@pytest.mark.parametrize("unit", [1.0, 0.4, 70.0])
def test_noise_has_the_std_asked_for_in_training_only(unit: float) -> None:
    d, seen = Identity(), X.clone()
    hook = Disturbance(d, (-1.0, 1.0), seed=0)
    assert torch.equal(d(seen), X)
    hook.instance_noise, hook.data_std = 0.3, unit
    noise = d(seen, 1.0) - X
    assert noise.std() == pytest.approx(0.3 * unit, rel=0.02)
    assert abs(noise.mean()) < 0.01 * unit
    assert torch.equal(seen, X)
    assert not torch.equal(d(seen) - X, noise)
    again = Disturbance(twin := Identity(), (-1.0, 1.0), seed=0)
    again.load_state({**hook.state(), "n_calls": 0})
    torch.testing.assert_close(twin(seen) - X, noise)
    assert torch.equal(d.eval()(seen), X)
    hook.remove()
    assert torch.equal(d.train()(seen), X)


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_noise_is_a_share_of_how_wide_the_loops_data_spread(stub, loop, scale: float) -> None:
    plain = loop()
    with plain.attach(stub(("instance_noise",), [1.0]), steps_per_decision=10, total_steps=100) as attached:
        for _ in range(12):
            report = plain.report()
            attached.step(**report | {name: scale * report[name] for name in ("real", "fake")})
        x = torch.zeros(4000, 2)
        with patch.object(plain.d, "forward", lambda seen: seen):
            noise = plain.d(x)
    assert noise.std() == pytest.approx(attached.values["instance_noise"] * scale * DATA_STD, rel=0.05)


@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_augmentation_changes_as_many_samples_as_asked(offset: float) -> None:
    d = Identity()
    hook = Disturbance(d, (offset - 1, offset + 1), seed=0)
    hook.augment_p = 0.25
    changed = torch.stack([(d(X + offset) != X + offset).flatten(1).float().mean(1) > 0.05 for _ in range(8)])
    assert changed.float().mean() == pytest.approx(0.25, abs=0.06)
    points = torch.randn(200, 2, generator=generator(0, "points"))
    hook.augment_p = 1.0
    torch.testing.assert_close(d(points).norm(dim=1), points.norm(dim=1))
    assert 0.6 < (d(points) != points).any(1).float().mean() < 0.9  # three of four quarter turns
    with pytest.raises(ValueError, match=r"shape \(4, 7\), which augment_p cannot augment"):
        d(torch.zeros(4, 7))


def test_the_controllers_noise_reaches_the_discriminator_and_leaves_with_it(stub, loop) -> None:
    plain = loop()
    x = plain.source.batch(8, generator(0, "x"))
    clean = plain.d(x)
    with plain.attach(stub(("instance_noise", "augment_p"), [1.0, 0.0])) as attached:
        plain.run(attached, 8)
        assert attached.values["instance_noise"] == KNOBS["instance_noise"].move(0.0, 1.0) > 0
        plain.d.load_state_dict(plain.d.state_dict())
        assert not torch.equal(plain.d(x), plain.d(x))
    assert torch.equal(plain.d(x), plain.d(x))
    assert clean.shape == plain.d(x).shape
    with pytest.raises(ValueError, match="was detached"):
        attached.step(**plain.report())


def test_equal_seeds_make_equal_runs(stub, loop) -> None:
    def run(seed: int) -> torch.Tensor:
        plain = loop()
        attached = plain.attach(stub((*RATES, "instance_noise", "augment_p"), [0.1, 0, 1, 1]), seed=seed)
        plain.run(attached, 30)
        return weights(plain.d)

    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))


def test_a_controller_of_ours_decides_with_its_state_carried(loop) -> None:
    from agents import Controller
    from agents.controller import build_policy

    knobs = (*RATES, "instance_noise")
    policy = build_policy("recurrent_ppo", knobs)
    n_rows = len(Controller("recurrent_ppo", policy, knobs, np.zeros(1), np.ones(1), {}).observations)
    controller = Controller("recurrent_ppo", policy, knobs, np.zeros(n_rows), np.ones(n_rows), {})
    plain, state = loop(), None
    attached = controller.attach(
        plain.opt_g, plain.opt_d, total_steps=200, discriminator=plain.d, steps_per_decision=10
    )
    for _ in range(4):
        before = attached.n_decisions
        while attached.n_decisions == before:
            attached.step(**plain.report())
        action, state = controller.predict(attached.observation, state)
    forgotten, _ = controller.predict(attached.observation)
    np.testing.assert_allclose(attached._progress.last_action, action)
    assert not np.allclose(forgotten, action)
