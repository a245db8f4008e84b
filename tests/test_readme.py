"""The README's commands are the ones the package has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agents.cli import COMMANDS
from agents.options import parse

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = [text.strip() for kind, text in BLOCKS if kind in ("bash", "sh", "shell")]
LINES = [
    line
    for text in SHELL[2:]
    for line in text.splitlines()
    if line.startswith("gan-gym ") and "COMMAND" not in line
]


def test_first_two_shell_blocks_are_one_line_each_and_set_everything_up() -> None:
    demo, tests = SHELL[:2]
    assert "\n" not in demo
    assert "\n" not in tests
    assert demo.startswith("python3 -m venv")
    assert demo.endswith("gan-gym demo")
    assert tests.endswith("-m pytest")


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_parses(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    command = COMMANDS[name]
    needed = {"needs": command.needs, "knows": command.knows, "positional": command.positional}
    assert parse(name, command.options, arguments, **needed)


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
def test_every_python_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
