"""Stages as YAML: printed for people to change, and read back without trusting the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from snn.names import brief, unknown_name
from snn.stages import Stage

MAX_BYTES = 100_000
"""Largest file of stages that is read."""
_FIELDS = [field.name for field in fields(Stage)]
_NUMBERS = {field.name for field in fields(Stage) if field.type == "float"}


def stages_to_yaml(stages: Sequence[Stage]) -> str:
    """Return stages as YAML, every field of each; `load_stages` reads it back equal."""
    rows = [asdict(stage) for stage in stages]
    for row in rows:
        row["unfreeze"] = [list(pair) for pair in row["unfreeze"]]
    return "\n".join(
        yaml.safe_dump([row], sort_keys=False, default_flow_style=None, allow_unicode=True, width=10_000)
        for row in rows
    )


def load_stages(file: str | Path) -> tuple[Stage, ...]:
    """Read a YAML file that holds a list of stages; fields that are left out have their defaults.

    Raises:
        ValueError: if the file cannot be read, holds anything but stages, or a field is unknown or wrong: in
            one line that names file, stage and field.
    """
    path = Path(file)
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise ValueError(f"'{path}' {what}; give a YAML file of stages, such as --print_stages writes")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"'{path}' is larger than {MAX_BYTES} bytes; give a YAML file of stages")
    try:
        return parse_stages(path.read_bytes())
    except (ValueError, TypeError) as error:
        raise ValueError(f"'{path}': {error}") from None


def parse_stages(text: str | bytes) -> tuple[Stage, ...]:
    """Turn YAML into stages.

    Raises:
        ValueError: if it is no YAML, no list of stages, or a field is unknown or not allowed.
        TypeError: if a field has a value of another type.
    """
    try:
        rows = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"no readable YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no list of stages; begin each with '- name: ...', as --print_stages writes them")
    return tuple(_stage(row, number) for number, row in enumerate(rows, start=1))


def _stage(row: dict[Any, Any], number: int) -> Stage:
    for key in row:
        if key not in _FIELDS:
            raise unknown_name(f"field of stage {number}", brief(key).strip("'"), _FIELDS)
    if "name" not in row:
        raise ValueError(f"stage {number} has no name; add 'name: ...'")
    values: dict[str, Any] = {key: _number(value) if key in _NUMBERS else value for key, value in row.items()}
    if isinstance(pairs := values.get("unfreeze"), list):
        values["unfreeze"] = tuple(
            tuple(_number(part) for part in pair) if isinstance(pair, list) else pair for pair in pairs
        )
    return Stage(**values)


def _number(value: object) -> object:
    """Turn `2e-3`, which YAML 1.1 takes for text as it has no point, into the number that is meant."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
