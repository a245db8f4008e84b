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


def tuned_values(name: str, networks: str) -> dict[str, float]:
    """Return the shipped settings of `tuned_constant` or `tuned_schedule` for networks by that name.

    GANs on points have one set, GANs on images another.
    """
    values: dict[str, float] = _read()[family(networks)][name]["values"]
    return values
