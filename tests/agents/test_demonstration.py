"""A rule in a vector environment acts by moves, and knows where an episode ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from agents.baselines import TunedSchedule, UpdateRatio
from agents.demonstration import Demonstration
from gan_gym.knobs import apply, resolve

KNOBS = resolve(("g_lr", "instance_noise"))
RULE = TunedSchedule({"g_lr": 1e-3, "d_lr": 2e-3, "instance_noise": 0.2, "beta1": 0.0}, {})


class Vector:
    """Environments that are knobs and nothing else."""

    def __init__(self, n: int, episode_steps: int = 40) -> None:
        self.num_envs, self.episode_steps = n, episode_steps

    def reset(self) -> None:
        self.values: list[dict[str, float]] = [{"g_lr": 1e-5, "instance_noise": 0.0}] * self.num_envs
        self.env_steps = 0

    def get_attr(self, name: str) -> list[Any]:
        return [{"knobs": KNOBS, "networks": "mlp"}[name]] * self.num_envs

    def env_method(self, name: str) -> list[tuple[None, Mapping[str, Any]]]:
        assert name == "current"
        return [(None, {**values, "progress_remaining": 0.5}) for values in self.values]

    def step(self, moves: np.ndarray) -> tuple[Any, ...]:
        self.values = [apply(KNOBS, values, move) for values, move in zip(self.values, moves, strict=True)]
        self.env_steps += 1
        dones = np.full(self.num_envs, self.env_steps % self.episode_steps == 0)
        return None, np.zeros(self.num_envs), dones, [{}] * self.num_envs


def test_a_rule_reaches_its_settings_by_moves() -> None:
    vector = Vector(n=2)
    demonstration = Demonstration(RULE, vector)  # type: ignore[arg-type]
    for _ in range(2):
        demonstration.step(demonstration.moves())
    for values in vector.values:
        assert values == pytest.approx({"g_lr": 1e-3, "instance_noise": 0.2}, rel=1e-4)


@pytest.mark.parametrize(
    ("knobs", "rule", "message"),
    [
        (("g_update_ratio", "beta1"), RULE, "does not set g_update_ratio, .* leave it out of the knobs"),
        (("g_lr", "beta1"), UpdateRatio(), "sets g_update_ratio, .* put it among the knobs"),
    ],
)
def test_a_rule_for_rates_cannot_show_how_to_turn_ratios(monkeypatch, knobs, rule, message) -> None:
    """Its ratio of 0 means: not in force. As a move it would stop the training."""
    monkeypatch.setattr(sys.modules[__name__], "KNOBS", resolve(knobs))
    with pytest.raises(ValueError, match=message):
        Demonstration(rule, Vector(2))  # type: ignore[arg-type]


def test_a_rule_forgets_where_an_episode_ends() -> None:
    class Counting:
        """A rule that counts its calls of an episode."""

        def settings(self, info: Mapping[str, Any], state: int | None) -> tuple[dict[str, float], int]:
            calls = (state or 0) + 1
            return {"g_lr": calls * 1e-3}, calls

    vector = Vector(n=1, episode_steps=3)
    demonstration = Demonstration(Counting(), vector)  # type: ignore[arg-type]
    asked = []
    for _ in range(5):
        demonstration.step(demonstration.moves())
        asked.append(demonstration._states[0])
    assert asked == [1, 2, None, 1, 2]
