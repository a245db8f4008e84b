"""The copy of what controls a run, in its folder: a resumed run needs nothing from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from agents.controller import Controller
from gan_gym.checkpoint import replace_file

_FOLDER = "controller"


def keep_controller(controller: Controller, run: Path) -> None:
    """Write a controller into a run's folder, whole or not at all."""
    final, part = run / _FOLDER, run / f".{_FOLDER}.part"
    shutil.rmtree(part, ignore_errors=True)
    controller.save(part)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)


def keep_baseline(name: str, run: Path) -> None:
    """Write down which baseline controls a run."""
    (run / _FOLDER).mkdir(exist_ok=True)
    replace_file(run / _FOLDER / "baseline.json", json.dumps({"baseline": name}).encode())


def kept_controller(run: Path) -> Controller | None:
    """Load a run's own controller; `None` where a baseline controls it, or nothing has been kept yet."""
    folder = run / _FOLDER
    return Controller.load(folder) if (folder / "controller.json").is_file() else None
