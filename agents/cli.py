"""The `gan-gym` command line, generated from the dataclasses in `agents.config`.

Exit codes: 0 done; 2 the input is wrong (one line on stderr that begins `error: `); 85 stopped by a signal,
resumable; 1 our own fault.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gan_gym
from agents import config
from agents.faults import message_for_user
from agents.stopping import EXIT_RESUMABLE, Interruptible
from gan_gym.names import one_line, unknown

EXIT_FAULT = 1
EXIT_WRONG_INPUT = 2
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR", "HF_HUB_VERBOSITY": "critical"}
"""Libraries that write to stderr by themselves; what matters of it, their exceptions say too."""


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
    knows: tuple[str, ...] = ()
    """Those among them that a run has kept, and that can be left out to resume it."""


COMMANDS: dict[str, Command] = {
    "demo": Command(config.DemoConfig, "agents.pipeline:run_demo"),
    "train": Command(config.TrainConfig, "agents.pipeline:run_train", needs=("data", "out"), knows=("data",)),
    "fit-snn": Command(config.FitSNNConfig, "agents.fitting:run_fit_snn", needs=("data", "out")),
    "fit-controller": Command(
        config.FitControllerConfig, "agents.controller_fitting:run_fit_controller", needs=("out",)
    ),
    "generate": Command(config.GenerateConfig, "agents.generating:run_generate", needs=("run", "out")),
    "evaluate": Command(config.EvaluateConfig, "agents.judging:run_evaluate"),
    "report": Command(config.ReportConfig, "agents.judging:run_report", needs=("run",)),
    "check-data": Command(
        config.CheckDataConfig, "agents.checking:run_check_data", positional=True, needs=("data",)
    ),
    "doctor": Command(config.DoctorConfig, "agents.checking:run_doctor"),
}
"""Commands by name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; what is our own fault is raised."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for name, level in QUIET.items():
        os.environ.setdefault(name, level)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may hold what is no text
        sys.stdout.reconfigure(errors="backslashreplace")
    with _warnings_in_one_line():
        try:
            with Interruptible():
                return _run(argv)
        except KeyboardInterrupt as error:
            print("; ".join(["stopped by a signal", *map(str, error.args)]), file=sys.stderr)
            return EXIT_RESUMABLE
        except BrokenPipeError:  # whoever read our output has gone; leave nothing for Python to flush into it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAULT
        except Exception as error:
            message = message_for_user(error)
            if message is None:
                raise
            print(f"error: {_one_line(message)}", file=sys.stderr)
            return EXIT_WRONG_INPUT


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
    from agents.options import parse

    command = COMMANDS[name]
    options = parse(
        name,
        command.options,
        rest,
        needs=command.needs,
        knows=command.knows,
        positional=command.positional,
    )
    if options is None:
        return 0
    module, function = command.function.split(":")
    code: int = getattr(importlib.import_module(module), function)(options)
    return code


def _overview() -> str:
    lines = [
        f"  {name:<16}{str(command.options.__doc__).splitlines()[0]}" for name, command in COMMANDS.items()
    ]
    return (
        "usage: gan-gym COMMAND [OPTIONS]\n\n"
        + "\n".join(lines)
        + "\n\ngan-gym COMMAND --help shows its options."
    )


class _Handler(logging.Handler):
    """Writes each warning as one line, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(f"warning: {_one_line(record.getMessage())}", file=sys.stderr)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show logged and library warnings as `warning: ...`; what only developers can act on is left out.

    So is the traceback of a background thread (TensorBoard's writer, on a disk that is full or gone): it is
    one line, and the command ends with an error of its own.
    """
    root, handler, hook = logging.getLogger(), _Handler(logging.WARNING), threading.excepthook
    root.addHandler(handler)
    threading.excepthook = lambda failed: root.warning("a background thread failed: %s", failed.exc_value)
    try:
        with warnings.catch_warnings():
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)
            warnings.showwarning = lambda message, *_, **__: logging.getLogger("warnings").warning(
                "%s", message
            )
            yield
    finally:
        root.removeHandler(handler)
        threading.excepthook = hook


def _one_line(text: str) -> str:
    """Join the lines of a text, and escape what a terminal would act on."""
    return one_line(" ".join(text.split()))


if __name__ == "__main__":
    sys.exit(main())
