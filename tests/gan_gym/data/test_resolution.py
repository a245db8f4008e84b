from __future__ import annotations

import math

import pytest

from gan_gym.data.loading import load_patches
from gan_gym.data.resolution import Resolution, own_mpp

SAID = {"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.26"}
OME = '<Pixels SizeX="9" PhysicalSizeX="0.4" PhysicalSizeXUnit="µm" PhysicalSizeY="0.41" Type="uint8"/>'
DESCRIBED = {"tiff.ImageDescription": OME}
TAGS = {"tiff.XResolution": "20000", "tiff.YResolution": "10000", "tiff.ResolutionUnit": "centimeter"}
POWER = {"openslide.objective-power": "40"}


def test_the_first_that_is_said_holds() -> None:
    assert own_mpp(SAID | DESCRIBED | TAGS | POWER) == (0.25, 0.26)
    assert own_mpp(DESCRIBED | TAGS | POWER) == (0.4, 0.41)
    assert own_mpp(TAGS | POWER) == (0.5, 1.0)
    assert own_mpp(POWER) == (0.25, 0.25)
    assert own_mpp({}) is None


def test_inches_are_converted() -> None:
    mpp = own_mpp(
        dict.fromkeys(("tiff.XResolution", "tiff.YResolution"), "50800") | {"tiff.ResolutionUnit": "inch"}
    )
    assert mpp == (0.5, 0.5)


@pytest.mark.parametrize(
    "implausible",
    [
        {"openslide.mpp-x": "352.8", "openslide.mpp-y": "352.8"},
        {"openslide.mpp-x": "0", "openslide.mpp-y": "0"},
        {"openslide.mpp-x": "nan", "openslide.mpp-y": "nan"},
        {"openslide.mpp-x": "0,25", "openslide.mpp-y": "0,25"},
        {"openslide.mpp-x": "0.25"},
        {"tiff.XResolution": "72", "tiff.YResolution": "72", "tiff.ResolutionUnit": "inch"},
        {"tiff.XResolution": "1", "tiff.YResolution": "1", "tiff.ResolutionUnit": "none"},
        {"tiff.ImageDescription": OME.replace('"µm"', '"mm"')},
    ],
)
def test_what_cannot_be_is_passed_over(implausible: dict[str, str]) -> None:
    assert own_mpp(implausible) is None
    assert own_mpp(implausible | POWER) == (0.25, 0.25)


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "0.5", None, True])
def test_a_wrong_resolution_is_named(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^mpp is .*; give micrometres per pixel"):
        Resolution(mpp=wrong)  # type: ignore[arg-type]
    if wrong is not None:
        with pytest.raises(ValueError, match=r"^slide_mpp is "):
            load_patches(None, 16, slide_mpp=wrong)  # type: ignore[arg-type]
