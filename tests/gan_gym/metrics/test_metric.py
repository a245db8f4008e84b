"""A metric is either whole or explained."""

from __future__ import annotations

import json
import math

import pytest

from gan_gym.metrics import Metric


def test_json_forms():
    assert Metric(0.5, 0.4, 0.6).to_json() == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert Metric.missing("too few").to_json() == {"value": None, "reason": "too few"}
    json.dumps(Metric.around(1.0, 0.1).to_json(), allow_nan=False)


def test_details_stand_beside_the_value_and_are_finite():
    figure = Metric(0.5, 0.4, 0.6).with_details(mean_real=2.0, unit="px")
    assert figure.to_json() == {"value": 0.5, "low": 0.4, "high": 0.6, "mean_real": 2.0, "unit": "px"}
    assert Metric.missing("too few").with_details(mean_real=2.0) == Metric.missing("too few")
    with pytest.raises(ValueError, match="finite details"):
        figure.with_details(mean_real=math.nan)


@pytest.mark.parametrize(
    "fields", [(math.nan, 0.0, 1.0), (0.5, None, 1.0), (0.5, 0.0, math.inf), (None, None, None)]
)
def test_half_filled_or_non_finite_figures_are_refused(fields: tuple[float | None, ...]):
    with pytest.raises(ValueError, match="Metric"):
        Metric(*fields)


def test_intervals_stay_in_the_possible_range_and_nan_becomes_a_reason():
    assert Metric.around(0.01, 0.1, minimum=0).low == 0
    assert Metric.share(0.9, 0.7, 1.1, 100) == Metric(0.9, 0.7, 1.0)
    assert Metric.around(math.nan, 0.1).value is None
    assert Metric.around(0.5, math.nan).reason


def test_a_share_of_none_or_all_keeps_an_interval_that_shrinks_with_the_images():
    # Wilson's upper end for 0 of n is z^2 / (n + z^2); for 0 of 100 that is 0.037.
    assert Metric.share(0.0, 0.0, 0.0, 100).high == pytest.approx(0.037, abs=5e-4)
    assert Metric.share(1.0, 1.0, 1.0, 100).low == pytest.approx(0.963, abs=5e-4)
    assert Metric.share(0.0, 0.0, 0.0, 1_000).high < 0.004
