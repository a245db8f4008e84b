from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gan_gym.gan import LOSSES, Statistics
from gan_gym.knobs import DEFAULT_KNOBS, KNOBS, resolve
from gan_gym.observations import GROUPS, OBSERVATIONS, Signals, groups, names, observe, squash

ROW = {row.name: row for row in OBSERVATIONS}
PERFECT = {"fidelity": 1.0, "coverage": 1.0, "diversity": 1.0, "kernel": 1.0, "quality": 1.0}


def _signals(**changes: Any) -> Signals:
    signals = Signals(
        statistics=Statistics(),
        previous=Statistics(),
        loss=LOSSES["hinge"],
        similarity=PERFECT,
        similarity_before=PERFECT,
        progress_remaining=1.0,
        n_steps=1,
    )
    return replace(signals, **changes)


def _observe(signals: Signals, knobs: tuple[str, ...] = DEFAULT_KNOBS) -> dict[str, float]:
    chosen = resolve(knobs)
    values = {knob.name: knob.high for knob in chosen}
    vector = observe(signals, chosen, values, np.full(len(chosen), 0.25, np.float32))
    return dict(zip(names(chosen), vector.tolist(), strict=True))


def test_squash_is_odd_increasing_and_bounded() -> None:
    points = [squash(x, 2.0) for x in np.linspace(-1e3, 1e3, 101)]
    assert points == sorted(points)
    assert max(points) <= 1
    assert squash(-0.3, 2.0) == -squash(0.3, 2.0) == pytest.approx(-math.tanh(0.15))


def test_names_are_unique_and_follow_the_knobs() -> None:
    knobs = tuple(KNOBS[name] for name in KNOBS)
    assert len(set(names(knobs))) == len(names(knobs)) == len(OBSERVATIONS) + 2 * len(knobs)
    assert names(resolve(("d_lr", "g_lr")))[-4:] == (
        "d_lr_position",
        "g_lr_position",
        "d_lr_last_action",
        "g_lr_last_action",
    )


@pytest.mark.parametrize("size", [0.0, 1.0, -1e30, 1e30])
@pytest.mark.parametrize("loss", LOSSES)
def test_finite_float32_in_range_whatever_the_statistics(size: float, loss: str) -> None:
    numbers = {name: size for name in Statistics.__dataclass_fields__ if name != "diverged"}
    wild = Statistics(**{**numbers, "sign_real": 1.0, "sign_fake": -1.0})
    for similarity in (PERFECT, dict.fromkeys(PERFECT, 0.0), {**PERFECT, "diversity": 2.0}):
        signals = _signals(statistics=wild, similarity=similarity, loss=LOSSES[loss])
        vector = observe(signals, resolve("g_lr"), {"g_lr": 0.0}, np.zeros(1, np.float32))
        assert vector.dtype == np.float32
        assert np.isfinite(vector).all()
        assert np.abs(vector).max() <= 1


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_seen_in_units_of_their_own(loss: str) -> None:
    """At equilibrium D's loss reads 0 under every loss, and a change of one unit reads tanh(1)."""
    at_rest = Statistics(d_loss=LOSSES[loss].equilibrium)
    moved = replace(at_rest, d_loss=at_rest.d_loss + LOSSES[loss].scale)
    assert _observe(_signals(statistics=at_rest, loss=LOSSES[loss]))["d_loss"] == 0
    seen = _observe(_signals(statistics=moved, previous=at_rest, loss=LOSSES[loss]))
    assert seen["d_loss"] == pytest.approx(math.tanh(1))
    assert seen["d_loss_change"] == pytest.approx(math.tanh(1))


def test_rows_say_what_they_are_named_for() -> None:
    statistics = Statistics(g_grad_norm=1e-1, d_step_ratio=1e-3, g_straightness=1.0, score_gap=2.0)
    worse = {**PERFECT, "fidelity": 0.9, "quality": 0.95, "diversity": 0.4}
    row = _observe(_signals(statistics=statistics, similarity=worse, progress_remaining=0.25))
    expected = {
        "g_grad_norm": math.tanh(1),
        "d_step_ratio": 0,
        "g_straightness": 1,
        "d_straightness": -1,
        "score_gap": math.tanh(1),
        "fidelity": 0.8,
        "coverage": 1,
        "diversity": -0.6,
        "fidelity_change": math.tanh(-1),
        "coverage_change": 0,
        "quality_change": math.tanh(-0.5),
        "progress_remaining": -0.5,
        "g_lr_position": 1,
        "r1_gamma_last_action": 0.25,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_block_rows_are_zero_right_after_a_reset() -> None:
    row = _observe(_signals(n_steps=0, similarity=dict.fromkeys(PERFECT, 0.25)))
    assert all(row[o.name] == 0 for o in OBSERVATIONS if o.needs_block)
    assert row["fidelity"] == pytest.approx(-0.5)


def test_each_observation_is_a_fresh_array() -> None:
    knobs, action = resolve("g_lr"), np.zeros(1, np.float32)
    first, second = (observe(_signals(), knobs, {"g_lr": 1e-3}, action) for _ in range(2))
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, action)


def test_every_row_is_of_one_group() -> None:
    knobs = resolve(("d_lr", "g_lr"))
    assert set(groups(knobs)) == set(GROUPS)
    assert len(groups(knobs)) == len(names(knobs))
    assert groups(knobs)[-4:] == ("positions", "positions", "last_actions", "last_actions")


SOURCES: dict[str, tuple[str, ...]] = {
    "losses": ("g_loss", "d_loss", "g_loss_std", "d_loss_std"),
    "scores": ("score_real", "score_fake", "score_gap", "sign_real", "sign_fake"),
    "gradients": (
        "g_grad_norm",
        "d_grad_norm",
        "g_step_ratio",
        "d_step_ratio",
        "g_straightness",
        "d_straightness",
    ),
    "similarity": (),
    "time": (),
    "positions": (),
    "last_actions": (),
}
"""Fields of `Statistics` that the rows of each group are made of."""


@pytest.mark.parametrize("group", GROUPS)
def test_all_rows_of_a_group_and_no_others_follow_what_it_is_named_for(group: str) -> None:
    knobs = resolve(DEFAULT_KNOBS)
    values, action = {knob.name: knob.high for knob in knobs}, np.zeros(len(knobs), np.float32)
    before = observe(_signals(), knobs, values, action)
    changes: dict[str, Any] = {"statistics": Statistics(**dict.fromkeys(SOURCES[group], 0.5))}
    if group == "similarity":
        changes["similarity"] = dict.fromkeys(PERFECT, 0.5)
    if group == "time":
        changes["progress_remaining"] = 0.5
    if group == "positions":
        values = {knob.name: knob.low for knob in knobs}
    if group == "last_actions":
        action = action + np.float32(0.5)
    after = observe(_signals(**changes), knobs, values, action)
    assert (before != after).tolist() == [own == group for own in groups(knobs)]
