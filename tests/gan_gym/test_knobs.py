from __future__ import annotations

import numpy as np
import pytest

from gan_gym.gan import Settings
from gan_gym.knobs import DEAD_ZONE, DEFAULT_KNOBS, KNOBS, Knob, apply, resolve

KNOB = pytest.mark.parametrize("knob", KNOBS.values(), ids=KNOBS)


@KNOB
def test_moves_multiply_and_stay_within_the_limits(knob: Knob) -> None:
    middle = (knob.low * knob.high) ** 0.5
    for action in (-1.0, -0.4, 0.3, 1.0):
        expected = min(max(middle * knob.max_factor**action, knob.low), knob.high)
        if expected == knob.low and knob.can_be_off:
            expected = 0.0
        assert knob.move(middle, action) == pytest.approx(expected)
    value = middle
    for _ in range(60):
        value = knob.move(value, 1.0)
    assert value == knob.high
    for _ in range(60):
        value = knob.move(value, -1.0)
    assert value == (0.0 if knob.can_be_off else knob.low)
    assert knob.move(value, 1.0) == pytest.approx(min(knob.low * knob.max_factor, knob.high))


@KNOB
def test_moves_there_and_back_cancel_and_the_dead_zone_keeps(knob: Knob) -> None:
    middle = (knob.low * knob.high) ** 0.5
    assert knob.move(knob.move(middle, 0.2), -0.2) == pytest.approx(middle)
    for action in (0.0, 3e-8, -DEAD_ZONE / 2):
        assert knob.move(middle, action) == middle


@KNOB
def test_position_is_a_logarithmic_scale(knob: Knob) -> None:
    assert knob.position(knob.low) == -1
    assert knob.position(knob.high) == pytest.approx(1)
    assert knob.position((knob.low * knob.high) ** 0.5) == pytest.approx(0, abs=1e-12)
    assert knob.position(0.0) == -1
    assert knob.position(10 * knob.high) == pytest.approx(1)


@KNOB
def test_every_value_a_knob_can_take_is_a_valid_setting(knob: Knob) -> None:
    for value in (0.0 if knob.can_be_off else knob.low, knob.low, knob.high):
        Settings(**{knob.name: value})


def test_apply_moves_each_knob_by_its_own_component() -> None:
    knobs = resolve(("d_lr", "g_lr", "instance_noise"))
    values = {"g_lr": 1e-3, "d_lr": 1e-3, "instance_noise": 0.0}
    moved = apply(knobs, values, np.array([1, 0, -1], np.float32))
    assert moved == {"d_lr": pytest.approx(2e-2), "g_lr": 1e-3, "instance_noise": 0.0}


@pytest.mark.parametrize(
    ("action", "complaint"), [([0], "shape"), ([0, 0, 0, 1.1], "leaves"), ([0, np.nan, 0, 0], "leaves")]
)
def test_apply_refuses_what_is_no_action(action: list[float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        apply(resolve(DEFAULT_KNOBS), dict.fromkeys(DEFAULT_KNOBS, 1e-3), np.array(action))


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ((), "empty"),
        (("g_lr", "g_lr"), "twice"),
        (("g_lr", "g_update_ratio"), "which sets it"),
        (("g_rl",), "did you mean 'g_lr'"),
        ("d_step", "did you mean 'd_steps'"),
    ],
)
def test_resolve_says_what_is_wrong(names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        resolve(names)


def test_one_name_is_enough() -> None:
    assert resolve("g_lr") == resolve(["g_lr"]) == (KNOBS["g_lr"],)
