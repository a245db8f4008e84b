from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import agents.baselines.tuned
from agents.baselines import TunedConstant, TunedSchedule
from agents.baselines.rule import FORMS
from agents.baselines.tuned import tuned
from gan_gym.knobs import DEFAULT_KNOBS

VALUES = {"g_lr": 1e-3, "d_lr": 2e-3, "instance_noise": 0.4, "beta1": 0.5, "r1_gamma": 8.0}


def at(rule: TunedSchedule | TunedConstant, progress: float) -> dict[str, float]:
    return rule.settings({"networks": "mlp", "progress_remaining": 1 - progress}, None)[0]


@pytest.mark.parametrize(
    ("form", "at_0", "at_a_third", "at_the_end"),
    [
        ("constant", 1.0, 1.0, 1.0),
        ("linear", 1.0, 2 / 3, 0.0),
        ("cosine", 1.0, 0.5 * (1 + math.cos(math.pi / 3)), 0.0),
        ("step", 1.0, 1.0, 0.0),
    ],
)
def test_forms_fall_from_1_to_0(form: str, at_0: float, at_a_third: float, at_the_end: float) -> None:
    shares = [FORMS[form](remaining) for remaining in (1.0, 2 / 3, 0.0)]
    assert shares == pytest.approx([at_0, at_a_third, at_the_end])
    course = [FORMS[form](1 - i / 100) for i in range(101)]
    assert course == sorted(course, reverse=True)


def test_each_setting_falls_by_its_own_form_to_its_own_end() -> None:
    rule = TunedSchedule(VALUES, {"g_lr": ("linear", 0.1), "r1_gamma": ("step", 0.25)})
    assert at(rule, 0) == pytest.approx(VALUES | {"g_update_ratio": 0, "d_update_ratio": 0})
    half = at(rule, 0.5)
    assert half["g_lr"] == pytest.approx(1e-3 * 0.55)
    assert half["r1_gamma"] == pytest.approx(2.0)
    end = at(rule, 1)
    assert (end["g_lr"], end["r1_gamma"]) == pytest.approx((1e-4, 2.0))
    assert {name: end[name] for name in ("d_lr", "instance_noise", "beta1")} == {
        name: VALUES[name] for name in ("d_lr", "instance_noise", "beta1")
    }


def test_without_forms_rates_and_noise_fall_to_0_on_a_cosine() -> None:
    quarter = at(TunedSchedule(VALUES), 0.25)
    share = 0.5 * (1 + math.cos(math.pi / 4))
    for name in ("g_lr", "d_lr", "instance_noise"):
        assert quarter[name] == pytest.approx(VALUES[name] * share)
    assert (quarter["beta1"], quarter["r1_gamma"]) == (0.5, 8.0)


def test_what_ships_says_its_own_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tuned.json"
    entry: dict[str, Any] = {"values": VALUES, "forms": {"d_lr": ["linear", 0.5]}}
    file.write_text(json.dumps({"points": {"tuned_schedule": entry, "tuned_constant": {"values": VALUES}}}))
    monkeypatch.setattr(agents.baselines.tuned, "FILE", file)
    agents.baselines.tuned._read.cache_clear()
    try:
        assert at(TunedSchedule(), 1)["d_lr"] == pytest.approx(1e-3)
        assert at(TunedSchedule(), 1)["g_lr"] == at(TunedConstant(), 1)["g_lr"] == 1e-3
    finally:
        agents.baselines.tuned._read.cache_clear()


@pytest.mark.parametrize("networks", ["mlp", "light"])
@pytest.mark.parametrize("name", ["tuned_constant", "tuned_schedule"])
def test_what_ships_sets_all_that_a_controller_turns(name: str, networks: str) -> None:
    """What is imitated leaves no knob to chance."""
    assert set(DEFAULT_KNOBS) <= set(tuned(name, networks)["values"])
