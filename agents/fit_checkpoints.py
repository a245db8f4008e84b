"""Checkpoints of a fit under way, in a hidden folder beside what it will be: a killed fit goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.conditions import check_conditions
from agents.run_lock import locked
from gan_gym.checkpoint import load_checkpoint, save_checkpoint
from snn.finetuning import FitState

logger = logging.getLogger(__name__)

_BEGUN = "begun"
"""File that says that a fit was begun, whether or not there is a checkpoint yet."""
HOW_TO_GO_ON = "continue with the same command and --resume"


def fit_folder(out: Path) -> Path:
    """Return where the checkpoints of a fit lie that will be `out`."""
    return out.with_name(f".{out.name}.fit")


def check_stopped(out: Path, *, resume: bool) -> None:
    """Check that a fit that was stopped is continued, and that there is one where it should be.

    Raises:
        ValueError: if not.
    """
    stopped = bool(_kept(fit_folder(out)))
    if stopped and not resume:
        raise ValueError(
            f"a fit of '{out}' was stopped; continue it with --resume, or remove '{fit_folder(out)}' to "
            "begin anew"
        )
    if resume and not stopped:
        raise ValueError(f"there is no fit of '{out}' to continue; leave --resume out")


@contextmanager
def under_way(out: Path) -> Iterator[None]:
    """Hold the fit of `out` against other processes; what it keeps to go on from goes where it succeeds.

    One that was stopped before its first checkpoint goes on from its start. Where the fit fails before that,
    nothing is kept.

    Raises:
        ValueError: if another process holds it.
        KeyboardInterrupt: if a signal stopped it; says how to go on.
    """
    folder = fit_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        (folder / _BEGUN).touch()
        keep = False
        try:
            yield
        except KeyboardInterrupt:
            keep = True
            raise KeyboardInterrupt(HOW_TO_GO_ON) from None
        except BaseException:
            keep = any(path.name != _BEGUN for path in _kept(folder))
            raise
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _kept(folder: Path) -> list[Path]:
    """Return what a folder holds beside its lock and options."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []


class FitCheckpoints:
    """The checkpoints of one fit.

    Args:
        out: what the fit will be.
        conditions: JSON-able; all that the fit depends on: one made under others is not continued.
    """

    def __init__(self, out: Path, conditions: Mapping[str, Any]) -> None:
        self.folder = fit_folder(out)
        self._conditions = json.loads(json.dumps(conditions))

    def load(self) -> FitState | None:
        """Return where a fit that was stopped stood; `None` where there is nothing to continue.

        Raises:
            CheckpointError: if no checkpoint is whole.
            ValueError: if that fit was made under other conditions; names them.
        """
        found = load_checkpoint(self.folder)
        if found is None:
            return None
        tensors, values = found
        check_conditions("fit", values["conditions"], self._conditions, self.folder)
        logger.info("continues a fit after %d steps", len(values["fit"]["rows"]))
        return FitState(tensors, values["fit"])

    def save(self, state: FitState) -> None:
        """Write a checkpoint; only the newest two stay."""
        values = {"conditions": self._conditions, "fit": state.values}
        save_checkpoint(self.folder, len(state.values["rows"]), state.tensors, values)

    def remove(self) -> None:
        """Remove all: the fit is done, or failed for good."""
        shutil.rmtree(self.folder, ignore_errors=True)


def digest(data: Tensor) -> str:
    """Return a hash of images or labels, by which a fit knows its data again."""
    return hashlib.sha256(data.contiguous().view(-1).numpy().data).hexdigest()


def digest_file(path: str | Path) -> str:
    """Return a hash of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
