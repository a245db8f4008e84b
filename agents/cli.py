"""The `gan-gym` command line, generated from the dataclasses in `agents.config`.

Exit codes: 0 done; 2 the input is wrong (one line on stderr that begins `error: `); 85 stopped by a signal, resumable;
1 our own fault.
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

import gan_gym
from agents import config
from gan_gym.names import unknown

EXIT_WRONG_INPUT = 2
EXIT_RESUMABLE = 85


@dataclass(frozen=True)
class Command:
    """A subcommand: its options and the function that takes them."""

    options: type[Any]
    """Dataclass in `agents.config`."""
    function: str
    """`module:name` of a function that takes an instance of it; imported only when it runs."""
    positional: bool = False
    """Whether the first option is given without its name."""
    needs: tuple[str, ...] = ()
    """Options without which nothing can be done."""


COMMANDS: dict[str, Command] = {
    "demo": Command(config.DemoConfig, "agents.pipeline:run_demo"),
    "train": Command(config.TrainConfig, "agents.pipeline:run_train", needs=("data", "out")),
    "fit-snn": Command(config.FitSNNConfig, "agents.fitting:run_fit_snn", needs=("data", "out")),
    "fit-controller": Command(config.FitControllerConfig, "agents.fitting:run_fit_controller", needs=("out",)),
    "generate": Command(config.GenerateConfig, "agents.generating:run_generate", needs=("run", "out")),
    "evaluate": Command(config.EvaluateConfig, "agents.judging:run_evaluate"),
    "report": Command(config.ReportConfig, "agents.judging:run_report", needs=("run",)),
    "check-data": Command(config.CheckDataConfig, "agents.checking:run_check_data", positional=True),
    "doctor": Command(config.DoctorConfig, "agents.checking:run_doctor"),
}
"""Commands by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING)
    logging.captureWarnings(True)
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        return _run(argv)
    except (ValueError, ImportError) as error:
        return _wrong_input(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _wrong_input(f"{error.strerror}: '{error.filename}'; choose another path or change its permissions")
    except KeyboardInterrupt:
        return EXIT_RESUMABLE


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0
    name, *rest = argv
    if name == "--version":
        print(gan_gym.__version__)
        return 0
    if name not in COMMANDS:
        raise ValueError(unknown(name, COMMANDS, "command"))
    command = COMMANDS[name]
    options = parse(name, rest)
    if options is None:
        return 0
    module, function = command.function.split(":")
    code: int = getattr(importlib.import_module(module), function)(options)
    return code


def _overview() -> str:
    lines = [f"  {name:<16}{command.options.__doc__.splitlines()[0]}" for name, command in COMMANDS.items()]
    return "usage: gan-gym COMMAND [OPTIONS]\n\n" + "\n".join(lines) + "\n\ngan-gym COMMAND --help shows its options."


def parse(name: str, arguments: Sequence[str]) -> Any | None:
    """Return the options of a command, or `None` where help or the configuration was printed instead.

    Raises:
        ValueError: if an option is unknown, lacks a value, has one of the wrong kind, or is needed and missing.
    """
    command = COMMANDS[name]
    parser = _parser(name, command)
    try:
        parsed = parser.parse_args(_expand_flags(command.options, arguments))
    except SystemExit as stop:
        if stop.code:
            raise ValueError(f"cannot read the options of {name}; see gan-gym {name} --help") from None
        return None
    except ArgumentError as error:
        raise ValueError(_explain(name, command, str(error))) from None
    except (TypeError, OSError) as error:
        raise ValueError(str(error)) from None
    values = {field.name: getattr(parsed, field.name) for field in fields(command.options)}
    needed = ("out",) if values.get("resume") else command.needs  # a resumed run knows its data
    missing = [f"--{option}" for option in needed if values[option] is None]
    if missing:
        raise ValueError(f"gan-gym {name} needs {' and '.join(missing)}; see gan-gym {name} --help")
    return command.options(**values)


def _parser(name: str, command: Command) -> ArgumentParser:
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"gan-gym {name}",
        description=command.options.__doc__,
        exit_on_error=False,
        default_env=False,
    )
    parser.add_argument("--config", action="config", help="YAML file of options; the command line overrides it.")
    parser.add_class_arguments(command.options, as_group=False, as_positional=command.positional)
    return parser


def _expand_flags(options: type[Any], arguments: Sequence[str]) -> list[str]:
    """Let boolean flags work bare: `--resume` is `--resume true`."""
    flags = {f"--{field.name}" for field in fields(options) if field.type == "bool"}
    expanded: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        expanded.append(argument)
        if argument in flags and following not in ("true", "false"):
            expanded.append("true")
    return expanded


def _explain(name: str, command: Command, message: str) -> str:
    """Put a parser's message into one line, with the nearest option where one was unknown."""
    line = " ".join(message.split())
    known = [f"--{field.name}" for field in fields(command.options)] + ["--config", "--print_config", "--help"]
    words = [word.split("=")[0].strip("'\",;:") for word in line.split()]
    if "nrecognized" in line:
        stranger = next((word for word in words if word.startswith("--")), line)
        return f"gan-gym {name}: {unknown(stranger, known, 'option')}"
    return f"gan-gym {name}: {line[:400]}"


def _wrong_input(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return EXIT_WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
