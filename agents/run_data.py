"""Know the patches of a run again: those that were kept from training stay so where it is taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.fit_checkpoints import digest
from gan_gym.data.patches import PatchSet

FILE = "data.json"
"""In a run's folder: how many patches it trains on and keeps from training, and their sha256."""


def describe_data(train: PatchSet, held_out: PatchSet) -> dict[str, Any]:
    """Return what `data.json` holds."""
    parts = {"train": train, "held_out": held_out}
    return {name: {"n": len(part), "sha256": digest(part.images)} for name, part in parts.items()}


def check_data(run: Path, train: PatchSet, held_out: PatchSet) -> None:
    """Check that these are the patches that a run was started with, split as they were.

    Raises:
        ValueError: if they are not: some of those held out would have been trained on, or the reverse.
    """
    file = run / FILE
    if not file.is_file():  # of a run made before there was one
        return
    found = describe_data(train, held_out)
    try:
        kept = json.loads(file.read_bytes())
        before, now = (sum(part[name]["n"] for name in found) for part in (kept, found))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{file}' is damaged ({error!r}); restore it, or start anew") from None
    if kept != found:
        raise ValueError(
            f"the patches are not those that the run '{run}' was started with ({before} then, {now} now); "
            "bring them back as they were, or start anew"
        )
