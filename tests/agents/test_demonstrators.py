"""Each kind of environment is shown the variant of a rule that serves it best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from agents.baselines import TunedSchedule
from agents.demonstrators import FACTORS, Demonstration, Scaled, best_variants, variants
from gan_gym.knobs import apply, resolve

KNOBS = resolve(("g_lr", "instance_noise"))
RULE = TunedSchedule({"g_lr": 1e-3, "d_lr": 2e-3, "instance_noise": 0.2, "beta1": 0.0}, {})


class Bowls:
    """Environments whose quality falls with the distance of the knobs from what each of them asks for."""

    def __init__(self, wanted: list[tuple[float, float]], episode_steps: int = 3) -> None:
        self.wanted, self.episode_steps = wanted, episode_steps
        self.num_envs = len(wanted)

    def reset(self) -> None:
        self.values: list[dict[str, float]] = [{"g_lr": 1e-5, "instance_noise": 0.0} for _ in self.wanted]
        self.env_steps = 0

    def get_attr(self, name: str) -> list[Any]:
        found = {"knobs": KNOBS, "networks": "mlp", "episode_steps": self.episode_steps}
        return [found[name]] * self.num_envs

    def env_method(self, name: str) -> list[tuple[None, Mapping[str, Any]]]:
        assert name == "current"
        return [(None, {**values, "progress_remaining": 0.5}) for values in self.values]

    def step(self, moves: np.ndarray) -> tuple[Any, ...]:
        self.values = [apply(KNOBS, values, move) for values, move in zip(self.values, moves, strict=True)]
        self.env_steps += 1
        ends = self.env_steps % self.episode_steps == 0
        infos = [self._end(i) if ends else {} for i in range(self.num_envs)]
        if ends:
            self.values = [{"g_lr": 1e-5, "instance_noise": 0.0} for _ in self.wanted]
        return None, np.zeros(self.num_envs), np.full(self.num_envs, ends), infos

    def _end(self, i: int) -> dict[str, Any]:
        pairs = zip(("g_lr", "instance_noise"), self.wanted[i], strict=True)
        distance = sum(abs(math.log(self.values[i][name] / wanted)) for name, wanted in pairs)
        return {"end": "budget", "quality": 1 / (1 + distance)}


def test_scales_learning_rates_alone() -> None:
    info = {"progress_remaining": 0.5, "networks": "mlp"}
    settings, _ = Scaled(RULE, 2.0).settings(info, None)
    plain, _ = RULE.settings(info, None)
    assert settings["g_lr"] == 2 * plain["g_lr"]
    assert settings["d_lr"] == 2 * plain["d_lr"]
    assert {name: settings[name] for name in ("instance_noise", "beta1")} == {
        name: plain[name] for name in ("instance_noise", "beta1")
    }
    assert len(variants(RULE)) == len(FACTORS)
    assert variants(RULE)[0].settings(info, None) == RULE.settings(info, None)


@pytest.mark.parametrize("n_of_each", [1, 2, 3, 5])
def test_finds_what_each_kind_asks_for(n_of_each: int) -> None:
    wanted = {"low": (5e-4, 0.2), "as the rule": (1e-3, 0.2), "high": (2e-3, 0.2)}
    kinds = [kind for kind in wanted for _ in range(n_of_each)]
    vector = Bowls([wanted[kind] for kind in kinds])
    best = best_variants(RULE, vector, kinds, 3, progress=False)  # type: ignore[arg-type]
    assert {kind: (1e-3 * b.factor, 0.2) for kind, b in zip(kinds, best, strict=True)} == wanted


def test_a_diverged_run_counts_nothing() -> None:
    class Diverging(Bowls):
        def _end(self, i: int) -> dict[str, Any]:
            end = super()._end(i)
            return end if self.values[i]["g_lr"] < 1.5e-3 else {"end": "diverged", "quality": 1.0}

    vector = Diverging([(2e-3, 0.2)])
    (best,) = best_variants(RULE, vector, ["one"], 3, progress=False)  # type: ignore[arg-type]
    assert best.factor == 1.0


def test_rules_reach_their_settings_by_moves() -> None:
    vector = Bowls([(1e-3, 0.2)] * 2)
    demonstration = Demonstration([RULE, Scaled(RULE, 0.5)], vector)  # type: ignore[arg-type]
    for _ in range(2):
        demonstration.step(demonstration.moves())
    assert vector.values[0] == pytest.approx({"g_lr": 1e-3, "instance_noise": 0.2}, rel=1e-4)
    assert vector.values[1] == pytest.approx({"g_lr": 5e-4, "instance_noise": 0.2}, rel=1e-4)
