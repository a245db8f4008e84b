"""One figure of the offline evaluation: a value with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Metric:
    """A value with a 95 % interval, or no value and the reason; never NaN.

    Example:
        >>> Metric(0.5, 0.4, 0.6).to_json()
        {'value': 0.5, 'low': 0.4, 'high': 0.6}
        >>> Metric.missing("too few images").to_json()
        {'value': None, 'reason': 'too few images'}
    """

    value: float | None
    """The figure; `None` where it cannot be computed."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    reason: str | None = None
    """Why there is no value; `None` where there is one."""
    details: Mapping[str, float | str] = field(default_factory=dict)
    """What helps to read the value, such as the means of both sides; in the JSON beside it."""

    def __post_init__(self) -> None:
        """Refuse half-filled and non-finite figures."""
        figures = (self.value, self.low, self.high)
        if self.value is None:
            if not self.reason or self.low is not None or self.high is not None:
                raise ValueError("a Metric without a value needs a reason and no interval")
        elif self.reason is not None or any(f is None or not math.isfinite(f) for f in figures):
            raise ValueError(f"a Metric needs a finite value, low and high, and no reason; got {figures}")
        if any(isinstance(detail, float) and not math.isfinite(detail) for detail in self.details.values()):
            raise ValueError(f"a Metric needs finite details; got {dict(self.details)}")

    @classmethod
    def missing(cls, reason: str) -> Metric:
        """Return a metric that could not be computed, with the reason."""
        return cls(None, reason=reason)

    @classmethod
    def around(cls, value: float, std: float, *, minimum: float = -math.inf) -> Metric:
        """Return `value` with the normal 95 % interval of a standard error, cut to the possible range.

        Args:
            value: the figure.
            std: its standard error, in the same unit.
            minimum: smallest possible value of the figure.
        """
        if not (math.isfinite(value) and math.isfinite(std)):
            return cls.missing("the figure is not finite: check the images for constant or corrupt content")
        half = 1.96 * std
        return cls(value, max(value - half, minimum), value + half)

    @classmethod
    def share(cls, value: float, low: float, high: float, n: int) -> Metric:
        """Return a fraction of `n` images with its interval, cut to 0..1 and never of zero width.

        No resampling of images that all agree shows that the next one may not: at 0 and at 1 the interval
        reaches as far as Wilson's, `z^2 / (n + z^2)`.

        Args:
            value: the fraction.
            low: lower end of its interval by resampling.
            high: upper end of its interval by resampling.
            n: number of images counted.

        Reference: Wilson 1927, "Probable inference", Journal of the American Statistical Association 22.
        """
        reach = 1.96**2 / (n + 1.96**2)
        high = max(high, reach) if value == 0 else high
        low = min(low, 1 - reach) if value == 1 else low
        return cls(value, max(min(low, value), 0.0), min(max(high, value), 1.0))

    def with_details(self, **details: float | str) -> Metric:
        """Return the same figure with details beside it; a missing one stays as it is."""
        return self if self.value is None else replace(self, details=details)

    def to_json(self) -> dict[str, float | str | None]:
        """Return the form that `evaluation.json` holds."""
        if self.value is None:
            return {"value": None, "reason": self.reason}
        return {"value": self.value, "low": self.low, "high": self.high, **self.details}
