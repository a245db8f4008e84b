"""Where figures come from."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path


def commit() -> str:
    """Return the commit the code is of, with `-dirty` if it was changed since; `""` outside a repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()


def command(module: str, arguments: list[str] | None) -> str:
    """Return the command line of `python -m module`; `None` for the arguments are this process's own."""
    return shlex.join(["python", "-m", module, *(sys.argv[1:] if arguments is None else arguments)])
