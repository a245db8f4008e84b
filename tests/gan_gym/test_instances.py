from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gan_gym.gan import LOSSES, Settings
from gan_gym.instances import INSTANCES, Instance, check_name, check_options, draw
from gan_gym.knobs import KNOBS

OWN = {"g_lr": 3e-4, "d_lr": 5e-4, "beta1": 0.5}


def _draw(name: str, n: int, knobs: tuple[str, ...] = ()) -> list[Instance]:
    rng = np.random.default_rng(0)
    return [draw(name, rng, loss="least_squares", settings=OWN, knobs=knobs) for _ in range(n)]


def test_default_keeps_the_settings_and_draws_seeds() -> None:
    instances = _draw("default", 20)
    assert all(i.settings == OWN and i.loss == "least_squares" for i in instances)
    assert len({i.seed for i in instances}) == 20


@pytest.mark.parametrize("name", ["train", "test"])
def test_draws_cover_their_ranges(name: str) -> None:
    instances = _draw(name, 400)
    for rate in ("g_lr", "d_lr"):
        logs = np.log10([i.settings[rate] for i in instances])
        assert logs.min() >= -5
        assert logs.max() <= -2
        assert np.abs(np.histogram(logs, 3, (-5, -2))[0] / 400 - 1 / 3).max() < 0.1, "not log-uniform"
    rates = np.log([[i.settings["g_lr"], i.settings["d_lr"]] for i in instances])
    assert abs(np.corrcoef(rates.T)[0, 1]) < 0.15, "the two rates depend on each other"
    assert {i.settings["beta1"] for i in instances} == {0.0, 0.5, 0.9}
    assert {i.loss for i in instances} == {"non_saturating", "hinge"}
    assert {i.loss for i in instances} <= set(LOSSES)
    for instance in instances[:20]:
        Settings(**instance.settings)


def test_no_seed_is_in_two_splits() -> None:
    """A seed names its split, so the same generator state gives other seeds in another split."""
    origins = {name: {(i.seed // (3 * 2**40), i.seed % 3) for i in _draw(name, 200)} for name in INSTANCES}
    assert all(len(origin) == 1 for origin in origins.values())
    assert len(set.union(*origins.values())) == len(INSTANCES)


def test_instances_stay_what_they_were() -> None:
    """Published figures are of these seeds."""
    instances = _draw("test", 2)
    assert [i.seed for i in instances] == [2101040344973, 2682600253574]
    assert [i.settings["g_lr"] for i in instances] == [6.447036682716464e-05, 0.005473520283788643]


WITHIN = {
    "inside": [(1e-4, 1e-3)],
    "edge": [(1e-5, 1e-4), (1e-3, 1e-2)],
    "outside": [(1e-6, 1e-5), (1e-2, 2e-2)],
}


@pytest.mark.parametrize("name", WITHIN)
def test_both_rates_are_drawn_from_all_ranges_and_nothing_else(name: str) -> None:
    instances = _draw(name, 400)
    for rate in ("g_lr", "d_lr"):
        values = np.array([i.settings[rate] for i in instances])
        shares = [np.mean((low <= values) & (values <= high)) for low, high in WITHIN[name]]
        assert sum(shares) == pytest.approx(1)
        assert shares == pytest.approx([1 / len(shares)] * len(shares), abs=0.08)
        for low, high in WITHIN[name]:
            logs = np.log(values[(low <= values) & (values <= high)])
            assert logs.mean() == pytest.approx(np.log(low * high) / 2, abs=0.15), "not log-uniform"


def test_held_out_distributions_hold_out() -> None:
    train, outside, unseen = (_draw(name, 99) for name in ("train", "outside", "unseen_losses"))
    assert {i.settings["beta1"] for i in train}.isdisjoint(i.settings["beta1"] for i in outside)
    assert {i.loss for i in train}.isdisjoint(i.loss for i in unseen)
    assert {i.loss for i in unseen} <= set(LOSSES)


def test_update_ratios_are_drawn_in_place_of_rates() -> None:
    instance = _draw("train", 1, ("g_update_ratio", "d_lr"))[0]
    assert 1e-5 <= instance.settings["g_update_ratio"] <= 1e-2
    assert instance.settings["g_lr"] == OWN["g_lr"]
    assert instance.settings["d_lr"] != OWN["d_lr"]


def test_draw_is_a_function_of_the_generator() -> None:
    assert _draw("train", 3) == _draw("train", 3)
    assert _draw("train", 3)[0] != _draw("train", 3)[1]


@pytest.mark.parametrize("name", KNOBS)
def test_options_take_the_whole_range_of_a_knob(name: str) -> None:
    knob = KNOBS[name]
    low = 0.0 if knob.can_be_off else knob.low
    assert check_options({name: low}) == {name: low}
    assert check_options({name: knob.high}) == {name: knob.high}
    middle = (knob.low * knob.high) ** 0.5
    assert check_options({name: np.float32(middle)}) == {name: pytest.approx(middle)}
    for wrong in (low - 1e-3 if low else -1e-9, knob.high * 1.01, math.nan, "1", None):
        with pytest.raises(ValueError, match=f"reset option {name}"):
            check_options({name: wrong})


@pytest.mark.parametrize("options", [{"g_l": 1e-3}, {"snapshots": None}])
def test_unknown_options_are_answered_with_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown reset option .* did you mean"):
        check_options(options)


def test_unknown_distribution_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'train'"):
        check_name("trian")
