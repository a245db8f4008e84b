"""The settings that `benchmarks.tune` found, as they ship."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from gan_gym.gan import family

FILE = Path(__file__).parent.parent / "pretrained" / "tuned.json"


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text())
    return content


def tuned(name: str, networks: str) -> dict[str, Any]:
    """Return what a search found for `tuned_constant` or `tuned_schedule` and networks by that name.

    `values` are settings, `forms`, if there, how they fall. GANs on points have one set, GANs on images
    another.
    """
    found: dict[str, Any] = _read()[family(networks)][name]
    return found
