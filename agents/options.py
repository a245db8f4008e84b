"""Read a command's options from its arguments and YAML file, and explain in one line what cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from gan_gym.names import unknown

CONFIG_BYTES = 1_000_000
"""Largest file of options that is read."""
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "names separated by commas",
}


def parse(
    name: str,
    options: type[Any],
    arguments: Sequence[str],
    *,
    needs: Iterable[str] = (),
    knows: Iterable[str] = (),
    positional: bool = False,
) -> Any | None:
    """Return the options of a command, or `None` where help or the configuration was printed instead.

    Args:
        name: of the command.
        options: its dataclass.
        arguments: what follows the command's name.
        needs: options without which nothing can be done.
        knows: those among them that what is resumed has kept.
        positional: whether the first option is given without its name.

    Raises:
        ValueError: if an option is unknown, lacks a value, has a wrong one, or is needed and missing.
    """
    known = [field.name for field in fields(options)]
    for file in _config_files(arguments):
        _check_file(Path(file), get_type_hints(options))
    try:
        parsed = _parser(name, options, positional).parse_args(_expand(options, arguments))
    except SystemExit as stop:
        if stop.code:
            raise ValueError(f"cannot read the options of {name}; see gan-gym {name} --help") from None
        return None
    except ArgumentError as error:
        raise ValueError(_explain(name, options, str(error))) from None
    values = {field: getattr(parsed, field) for field in known}
    needed = [option for option in needs if not (values.get("resume") and option in tuple(knows))]
    needed = [] if values.get("print_stages") else needed
    missing = [option if positional else f"--{option}" for option in needed if not values[option]]
    if missing:
        raise ValueError(f"gan-gym {name} needs {' and '.join(missing)}; see gan-gym {name} --help")
    return options(**values)


def _parser(name: str, options: type[Any], positional: bool) -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"gan-gym {name}",
        description=options.__doc__,
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", action="config", help="YAML file of options; the command line overrides it."
    )
    parser.add_class_arguments(options, as_group=False, as_positional=positional)
    return parser


def _expand(options: type[Any], arguments: Sequence[str]) -> list[str]:
    """Let boolean flags work bare (`--resume` is `--resume true`), and lists without brackets (`a,b`)."""
    flags = {f"--{field.name}" for field in fields(options) if field.type == "bool"}
    lists = {f"--{field.name}" for field in fields(options) if str(field.type).startswith("list")}
    expanded: list[str] = []
    previous = ""
    for argument, following in zip(arguments, [*arguments[1:], "--"], strict=False):
        option, equals, value = argument.partition("=")
        if previous in lists:
            argument = _bracketed(argument)
        elif option in lists and equals:
            argument = f"{option}={_bracketed(value)}"
        expanded.append(argument)
        if argument in flags and following.startswith("-"):
            expanded.append("true")
        previous = argument
    return expanded


def _bracketed(value: str) -> str:
    return value if value.startswith(("[", "-")) or value == "null" else f"[{value}]"


def _config_files(arguments: Sequence[str]) -> list[str]:
    named = [value for argument, value in pairwise(arguments) if argument == "--config"]
    return named + [a.removeprefix("--config=") for a in arguments if a.startswith("--config=")]


def _check_file(path: Path, hints: Mapping[str, Any]) -> None:
    """Raise `ValueError`, which names the file, where one of options of these types cannot be read."""
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise ValueError(f"--config '{path}' {what}; give a YAML file, such as --print_config writes")
    if path.stat().st_size > CONFIG_BYTES:
        raise ValueError(
            f"--config '{path}' is larger than {CONFIG_BYTES} bytes; give a YAML file of options"
        )
    try:
        values = yaml.safe_load(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError(f"--config '{path}' is no readable YAML (it is not in UTF-8); save it so") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"--config '{path}' is no readable YAML ({reason}); correct it") from None
    if not isinstance(values, dict):
        raise ValueError(f"--config '{path}' holds no options; write them as lines 'name: value'")
    for key, value in values.items():
        if key not in hints:
            raise ValueError(f"--config '{path}': {unknown(key, hints, 'option')}")
        if value is None and type(None) not in get_args(hints[key]):
            raise ValueError(f"--config '{path}': {key} has no value; give one, or leave the line out")
        if any(isinstance(part, list | dict) for part in (value if isinstance(value, list) else [value])):
            raise ValueError(f"--config '{path}': {key} is nested; give one value, or a list of names")


def _explain(name: str, options: type[Any], message: str) -> str:
    """Put a parser's message into one line that says what is allowed."""
    line = " ".join(message.split())
    if found := re.search(r'Parser key "(\w+)": (.*)', line):
        key, reason = found.groups()
        value = re.search(r"(?:Got value: |Given value: )(.*?)(?: - Expected|$)", reason)
        given = f" is {value[1][:100]!r}" if value else ""
        return f"gan-gym {name}: --{key}{given}; give {_allowed(options, key)}"
    if "nrecognized" in line:
        strangers = line.partition("arguments:")[2].split()
        stranger = next((word for word in strangers if word.startswith("-")), None)
        if stranger is None:
            return f"gan-gym {name}: what is '{' '.join(strangers)[:100]}'? Options begin with --"
        known = [f"--{field.name}" for field in fields(options)] + ["--config", "--print_config", "--help"]
        return f"gan-gym {name}: {unknown(stranger.partition('=')[0], known, 'option')}"
    return f"gan-gym {name}: {line[:400]}; see gan-gym {name} --help"


def _allowed(options: type[Any], key: str) -> str:
    """Say what values an option takes."""
    hint = get_type_hints(options).get(key)
    choices = get_args(hint)
    if choices and all(isinstance(choice, str) for choice in choices):
        return f"one of {', '.join(choices)}"
    kinds = [getattr(kind, "__origin__", kind).__name__ for kind in choices or (hint,) if kind is not None]
    return " or ".join(dict.fromkeys(_KINDS[kind] for kind in kinds if kind in _KINDS)) or "another value"
