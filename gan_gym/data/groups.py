"""Which slide or patient a patch comes from, read from its file name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import torch
from torch import Tensor

GROUP_PATTERNS: dict[str, re.Pattern[str]] = {
    "Breast Histopathology Images (IDC)": re.compile(r"(\d+)_idx\d+_x\d+_y\d+_class\d"),
    "osteosarcoma, TCIA": re.compile(r"(Case-\d+|P\d+)-[A-Z]\d+-\d+-\d+"),
    "TCGA barcode": re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?![A-Z0-9])"),
    "named prefix": re.compile(r"((?:patient|case|slide|subject)[-_ ]?\d+)(?!\d)", re.IGNORECASE),
}
"""Where the pattern matches the start of a file name, its first bracket is the patient, case or slide.

The only rule for groups: a name that no pattern matches is a group of its own. Nothing else is guessed, since
a wrong guess would let one patient into both sides of a split, or leave nothing to hold out.
"""


def group_of(name: str) -> str:
    """Return the patient, case or slide in a file name, or the whole name where it holds none.

    Example:
        >>> group_of("idc/8955_idx5_x1101_y1251_class1.png")
        '8955'
    """
    stem = PurePosixPath(name).name
    for pattern in GROUP_PATTERNS.values():
        if match := pattern.match(stem):
            return match.group(1).lower()
    return name


def group_ids(names: Iterable[str]) -> Tensor:
    """Number the groups of `names` in order of appearance: `(N,)` int64."""
    numbers: dict[str, int] = {}
    return torch.tensor(
        [numbers.setdefault(group_of(name), len(numbers)) for name in names], dtype=torch.int64
    )
