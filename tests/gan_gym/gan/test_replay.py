"""A captured CUDA graph replays kernels on the same tensors; a traced graph does the same on a CPU."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import gan_gym.gan.replay as replay_module
from gan_gym.gan import GANTrainer, Settings
from gan_gym.gan.population import Population
from gan_gym.gan.replay import N_WARM_UP, Inputs, Replay, Update

MakeTrainer = Callable[..., GANTrainer]
MEMBERS: list[dict[str, Any]] = [
    {"loss": "non_saturating", "instance_noise": 0.3, "d_steps": 2.0},
    {"loss": "hinge", "r1_gamma": 1.0, "augment_p": 0.5, "g_update_ratio": 1e-3},
    {"loss": "wgan_gp", "beta1": 0.0},
]


@dataclass
class _Traced:
    """What `torch.cuda.CUDAGraph` is to a GPU: what was read from the host while tracing stays as it was."""

    traced: Callable[[Inputs], tuple[Tensor, ...]]
    inputs: Inputs
    outputs: tuple[Tensor, ...]
    last: Inputs = field(default_factory=dict)

    @property
    def graph(self) -> _Traced:
        return self

    def replay(self) -> None:
        with torch.no_grad():
            for static, new in zip(self.outputs, self.traced(self.inputs), strict=True):
                static.copy_(new)


class _TracingReplay(Replay):
    """Captures by tracing."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.captures, self.n_captured = True, 0

    def _beside(self, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        return update(inputs)

    def _captured(self, update: Update, inputs: Inputs) -> Any:
        self.n_captured += 1
        static = {name: tensor.clone() for name, tensor in inputs.items()}
        held = self.state()
        before = [tensor.clone() for tensor in held]
        traced = make_fx(lambda given: update(given))(static)
        outputs = tuple(output.clone() for output in update(static))
        for tensor, old in zip(held, before, strict=True):
            tensor.copy_(old)  # a capture runs nothing
        return _Traced(traced, static, outputs)

    state: Callable[[], list[Tensor]]


def _replaying(members: list[GANTrainer]) -> tuple[Population, _TracingReplay]:
    population, replay = Population(members), _TracingReplay()

    def state() -> list[Tensor]:
        sides = population.g, population.d
        moments = [tensor for side in sides for tensor in side.moments.values()]
        networks = population.g.network, population.d.network, population.g_ema
        return moments + [tensor for network in networks for tensor in network.tensors().values()]

    replay.state = state
    population._replay = replay
    return population, replay


def test_updates_replayed_from_a_graph_equal_updates_run(make_trainer: MakeTrainer) -> None:
    """Knobs changed after the capture, d_steps too, are read from the device; nothing is captured anew."""
    replayed, run = ([make_trainer(seed=i, **member) for i, member in enumerate(MEMBERS)] for _ in range(2))
    population, replay = _replaying(replayed)
    reference = Population(run)
    n_steps = 4 * (N_WARM_UP + 1)  # penalties are due every fourth step
    population.train(replayed, n_steps)
    reference.train(run, n_steps)
    n_captured = replay.n_captured
    assert n_captured >= 3, "with and without penalties, and G"
    for trainers in (replayed, run):
        for trainer in trainers:
            s = trainer.settings
            noise, ratio = 2 * s.instance_noise, 2 * s.g_update_ratio
            trainer.settings = Settings(
                g_lr=3e-3,
                d_lr=1e-4,
                beta1=0.3,
                instance_noise=noise,
                r1_gamma=3 * s.r1_gamma,
                augment_p=s.augment_p / 2,
                g_update_ratio=ratio,
                d_steps=2 * s.d_steps,
            )
    population.train(replayed, 8)
    reference.train(run, 8)
    assert replay.n_captured == n_captured
    for ours, theirs in zip(replayed, run, strict=True):
        (left, left_values), (right, right_values) = ours.state(), theirs.state()
        for name in right:
            torch.testing.assert_close(left[name], right[name], rtol=2e-3, atol=2e-4, msg=name)
        assert left_values["statistics"] == pytest.approx(right_values["statistics"], rel=2e-2, abs=2e-3)


def test_a_knob_that_is_turned_on_is_captured(make_trainer: MakeTrainer) -> None:
    members = [make_trainer(seed=i) for i in range(2)]
    population, replay = _replaying(members)
    population.train(members, N_WARM_UP + 2)
    before = replay.n_captured
    for trainer in members:
        trainer.settings = Settings(instance_noise=0.1)
    population.train(members, N_WARM_UP + 2)
    assert (before, replay.n_captured) == (2, 4)


def test_a_cpu_captures_nothing() -> None:
    assert not Replay(torch.device("cpu")).captures
    assert not Replay(torch.device("cuda"), captures=False).captures


def test_networks_that_cannot_be_captured_run_as_they_are(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Replay, update: Update, inputs: Inputs) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(_TracingReplay, "_captured", refuses)
    tried, plain = ([make_trainer(seed=i) for i in range(2)] for _ in range(2))
    population, replay = _replaying(tried)
    with caplog.at_level(logging.WARNING):
        population.train(tried, N_WARM_UP + 3)
    Population(plain).train(plain, N_WARM_UP + 3)
    assert not replay.captures
    assert [record.message for record in caplog.records] == [
        "no CUDA graph of these networks (operation not permitted when stream is capturing); "
        "they run kernel by kernel"
    ]
    for left, right in zip(tried, plain, strict=True):
        assert torch.equal(left.g.vector, right.g.vector)


def test_compiled_updates_equal_updates_run(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Penalties, a single GAN and what is rare, and so not compiled, included."""
    monkeypatch.setattr(replay_module, "N_BEFORE_COMPILING", 3)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    for chosen in (MEMBERS, MEMBERS[1:2]):
        compiled, run = ([make_trainer(seed=i, **m) for i, m in enumerate(chosen)] for _ in range(2))
        for trainer in compiled:
            trainer.config = replace(trainer.config, compile=True)
        population = Population(compiled)
        population.train(compiled, 18)
        Population(run).train(run, 18)
        assert len(population._replay._compiled) >= 3
        for ours, theirs in zip(compiled, run, strict=True):
            (left, _), (right, _) = ours.state(), theirs.state()
            for name in right:
                torch.testing.assert_close(left[name], right[name], rtol=2e-3, atol=2e-4, msg=name)


def test_a_compiler_that_fails_is_left_aside(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(module: Any) -> Update:
        def run(inputs: Inputs) -> tuple[Tensor, ...]:
            raise RuntimeError("no C++ compiler found\nmore")

        return run

    monkeypatch.setattr(replay_module, "N_BEFORE_COMPILING", 2)
    monkeypatch.setattr(torch, "compile", failing)
    tried, plain = ([make_trainer(seed=i) for i in range(2)] for _ in range(2))
    for trainer in tried:
        trainer.config = replace(trainer.config, compile=True)
    with caplog.at_level(logging.WARNING):
        Population(tried).train(tried, 6)
    Population(plain).train(plain, 6)
    assert [record.message for record in caplog.records] == [
        "these networks cannot be compiled (no C++ compiler found); they run as they are"
    ]
    for left, right in zip(tried, plain, strict=True):
        torch.testing.assert_close(left.g.vector, right.g.vector)


def test_a_compiled_update_that_cannot_be_captured_runs_on(
    make_trainer: MakeTrainer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Replay, update: Update, inputs: Inputs) -> Any:
        raise RuntimeError

    monkeypatch.setattr(replay_module, "N_BEFORE_COMPILING", 2)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    monkeypatch.setattr(_TracingReplay, "_captured", refuses)
    tried, plain = ([make_trainer(seed=i) for i in range(2)] for _ in range(2))
    population, replay = _replaying(tried)
    replay.compiles = True
    with caplog.at_level(logging.WARNING):
        population.train(tried, N_WARM_UP + 6)
    Population(plain).train(plain, N_WARM_UP + 6)
    assert (replay.compiles, replay.captures) == (True, False)
    assert [record.message for record in caplog.records] == [
        "no CUDA graph of these networks (RuntimeError); they run kernel by kernel"
    ]
    for left, right in zip(tried, plain, strict=True):
        torch.testing.assert_close(left.g.vector, right.g.vector)
