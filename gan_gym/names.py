"""Look a name up in a table, say which known name is nearest, and show one on a line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


def lookup(table: Mapping[str, Value], name: str, what: str) -> Value:
    """Return `table[name]`.

    Raises:
        ValueError: if the name is unknown; the message holds the nearest known one.
    """
    if name not in table:
        raise ValueError(unknown(name, table, what))
    return table[name]


def unknown(name: object, known: Iterable[str], what: str) -> str:
    """Return the message for an unknown `what` called `name`."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f" did you mean '{near[0]}'?" if near else ""
    return f"unknown {what} '{name}';{hint} Known: {', '.join(names)}."


def one_line(text: str) -> str:
    """Return `text` fit to print on one line: control and undecodable characters are escaped."""
    readable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in readable)
