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


@pytest.mark.parametrize(
    "fields", [(math.nan, 0.0, 1.0), (0.5, None, 1.0), (0.5, 0.0, math.inf), (None, None, None)]
)
def test_half_filled_or_non_finite_figures_are_refused(fields: tuple[float | None, ...]):
    with pytest.raises(ValueError, match="Metric"):
        Metric(*fields)


def test_intervals_stay_in_the_possible_range_and_nan_becomes_a_reason():
    assert Metric.around(0.99, 0.1, minimum=0, maximum=1).high == 1
    assert Metric.around(0.01, 0.1, minimum=0, maximum=1).low == 0
    assert Metric.around(math.nan, 0.1).value is None
    assert Metric.around(0.5, math.nan).reason
