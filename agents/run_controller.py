"""The copy of what controls a run, in its folder: a resumed run needs nothing from elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from agents.controller import Controller
from gan_gym.checkpoint import replace_file

_FOLDER, _START = "controller", "start_controller"


def keep_controller(controller: Controller, run: Path) -> None:
    """Write a controller into a run's folder, whole or not at all."""
    _keep(controller, run, _FOLDER)


def keep_start(controller: Controller, run: Path) -> None:
    """Write the controller that a run learns from into its folder, whole or not at all; one stays."""
    if not (run / _START).is_dir():
        _keep(controller, run, _START)


def keep_baseline(name: str, run: Path) -> None:
    """Write down which baseline controls a run."""
    (run / _FOLDER).mkdir(exist_ok=True)
    replace_file(run / _FOLDER / "baseline.json", json.dumps({"baseline": name}).encode())


def kept_controller(run: Path) -> Controller | None:
    """Load a run's own controller; `None` where a baseline controls it, or nothing has been kept yet."""
    return _kept(run / _FOLDER)


def kept_start(run: Path) -> Controller | None:
    """Load the controller that a run learns from; `None` where nothing has been kept yet."""
    return _kept(run / _START)


def _keep(controller: Controller, run: Path, name: str) -> None:
    final, part = run / name, run / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    controller.save(part)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)


def _kept(folder: Path) -> Controller | None:
    return Controller.load(folder) if (folder / "controller.json").is_file() else None
