"""Errors for unknown names, with the nearest known ones, and for values of any length."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict, _SHORT.maxstring = 2, 4, 4, 2, 60


def brief(value: object) -> str:
    """Return a value as it is written in Python, shortened so that a message that holds it stays one line."""
    return _SHORT.repr(value)


def unknown_name(what: str, name: str, known: Iterable[str], *, list_all: bool = True) -> ValueError:
    """Return the error for an unknown `name`; `list_all=False` where the known ones are too many to list."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(match) for match in near)}?" if near else "."
    listing = f" Known: {', '.join(names)}." if list_all else ""
    return ValueError(f"unknown {what} {name!r}{hint}{listing}")
