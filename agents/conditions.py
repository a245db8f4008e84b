"""What was stopped goes on under the conditions it began with, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def check_conditions(what: str, before: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    """Check that what was stopped is asked for again.

    Args:
        what: what was stopped, in a word.
        before: conditions it began with.
        asked: conditions now.
        folder: where it lies, to be removed to begin anew.

    Raises:
        ValueError: if a condition differs; names all that do.
    """
    if changed := [name for name, value in asked.items() if before.get(name) != value]:
        raise ValueError(
            f"the {what} that was stopped had another {', '.join(changed)}; give the same, or remove "
            f"'{folder}' to begin anew"
        )
