"""Errors for unknown names, with the nearest known ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def unknown_name(what: str, name: str, known: Iterable[str], *, list_all: bool = True) -> ValueError:
    """Return the error for an unknown `name`; `list_all=False` where the known ones are too many to list."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(match) for match in near)}?" if near else "."
    listing = f" Known: {', '.join(names)}." if list_all else ""
    return ValueError(f"unknown {what} {name!r}{hint}{listing}")
