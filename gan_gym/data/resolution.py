"""How many micrometres a pixel spans: what patches are asked to have, and what a slide says of itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MIN_MPP, MAX_MPP = 0.05, 20.0
"""Micrometres per pixel that are believed of a slide; TIFF tags often hold 72 dpi, which is 353."""

_INCH, _CENTIMETRE = 25_400.0, 10_000.0
_OME_SIZE = re.compile(r'<Pixels[^>]*?\bPhysicalSize{}="([^"]+)"')
_OME_UNIT = re.compile(r'<Pixels[^>]*?\bPhysicalSize{}Unit="([^"]+)"')
_MICROMETRES = ("µm", "μm", "um")  # the micro sign, and the Greek letter


@dataclass(frozen=True)
class Resolution:
    """The resolution at which patches are cut from slides."""

    mpp: float = 0.5
    """Micrometres per pixel of the patches; 0.5 is about an objective of 20x."""
    slide_mpp: float | None = None
    """Micrometres per pixel of the full resolution of slides that do not say their own."""

    def __post_init__(self) -> None:
        for name, value in (("mpp", self.mpp), ("slide_mpp", self.slide_mpp)):
            if value is None and name == "slide_mpp":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 < float(value or 0) < math.inf:
                raise ValueError(f"{name} is {value!r}; give micrometres per pixel, a number > 0 such as 0.5")


def own_mpp(properties: Mapping[str, str]) -> tuple[float, float] | None:
    """Read what a slide says of its own full resolution.

    The first of these that lies between `MIN_MPP` and `MAX_MPP`: `openslide.mpp-x` and `-y`, the physical
    size in the description of an OME-TIFF, the TIFF resolution tags, 10 divided by the objective's power.

    Args:
        properties: of an opened slide, in OpenSlide's names.

    Returns:
        Micrometres per pixel along x and y; `None` where the slide does not say.

    Example:
        >>> own_mpp({"openslide.objective-power": "20"})
        (0.5, 0.5)
    """
    for x, y in _claims(properties):
        if MIN_MPP <= x <= MAX_MPP and MIN_MPP <= y <= MAX_MPP:
            return x, y
    return None


def _claims(properties: Mapping[str, str]) -> Iterator[tuple[float, float]]:
    yield _number(properties, "openslide.mpp-x"), _number(properties, "openslide.mpp-y")
    description = properties.get("tiff.ImageDescription", "")
    yield _ome(description, "X"), _ome(description, "Y")
    unit = {"inch": _INCH, "centimeter": _CENTIMETRE}.get(properties.get("tiff.ResolutionUnit", ""), 0.0)
    x, y = (_number(properties, f"tiff.{axis}Resolution") for axis in "XY")
    yield (unit / x if x else 0.0), (unit / y if y else 0.0)
    power = _number(properties, "openslide.objective-power")
    yield (10 / power if power else 0.0), (10 / power if power else 0.0)


def _number(properties: Mapping[str, str], name: str) -> float:
    """Return a property as a number; 0, which is believed nowhere, where it is none."""
    try:
        return float(properties.get(name, 0))
    except ValueError:
        return 0.0


def _ome(description: str, axis: str) -> float:
    size = re.search(_OME_SIZE.pattern.format(axis), description)
    unit = re.search(_OME_UNIT.pattern.format(axis), description)
    if size is None or (unit is not None and unit[1] not in _MICROMETRES):
        return 0.0
    return _number({"size": size[1]}, "size")
