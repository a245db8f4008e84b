"""What a run folder holds, read for people: figures, pictures and settings, and what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_gym.knobs import KNOBS

CLOSEST = Path("samples", "memorisation.png")
"""Sheet of the generated patches that lie nearest to a training patch, in a run's folder."""


@dataclass(frozen=True)
class RunRecord:
    """One run, as far as its folder tells."""

    name: str
    """Name of the folder."""
    rows: tuple[Mapping[str, object], ...]
    """`metrics.jsonl`, one row an env step."""
    config: str
    """`config.yaml` as text."""
    command: str | None
    """The command that made the run."""
    samples: tuple[tuple[int, Path], ...]
    """Sample grids by images seen, in that order."""
    real: Path | None
    """A grid of real patches."""
    evaluation: Mapping[str, Mapping[str, object]] | None
    """`evaluation.json`: metric -> value, interval or reason."""
    environment: Mapping[str, object] | None
    """`env.json`: versions, machine and device."""
    closest: Path | None
    """Sheet of the generated patches that lie nearest to a training patch."""
    missing: tuple[str, ...]
    """What is not there, in plain words."""

    def series(self, key: str) -> NDArray[np.float64]:
        """Return a key of every row, NaN where a row has no finite number for it."""
        return np.array([_number(row.get(key)) for row in self.rows], dtype=np.float64)

    @property
    def progress(self) -> tuple[str, NDArray[np.float64]]:
        """What runs along the horizontal axis: images seen, or env steps where those are not recorded."""
        images = self.series("n_images")
        if len(images) and np.isfinite(images).all():
            return "images seen", images
        return "env step", np.arange(1, len(self.rows) + 1, dtype=np.float64)

    @property
    def knobs(self) -> tuple[str, ...]:
        """Knobs that were acted on or that moved."""
        return tuple(
            name
            for name in KNOBS
            if np.isfinite(self.series(f"action_{name}")).any() or len(np.unique(self._finite(name))) > 1
        )

    @property
    def went_back(self) -> NDArray[np.int64]:
        """Rows that diverged, after which the run went back to its last good state and on more slowly."""
        diverged = np.flatnonzero(np.nan_to_num(self.series("diverged")))
        return diverged[:-1] if self.end == "diverged" else diverged

    @property
    def end(self) -> str:
        """How the run ended by its last row: `budget`, `diverged`, `collapsed`, or nothing yet."""
        return str(self.rows[-1].get("end") or "") if self.rows else ""

    def _finite(self, key: str) -> NDArray[np.float64]:
        values = self.series(key)
        return values[np.isfinite(values)]


def read_run(run: Path) -> RunRecord:
    """Read a run folder; whatever it lacks beside its configuration is listed, not an error.

    Raises:
        ValueError: if the folder is no run.
    """
    if not run.is_dir():
        raise ValueError(f"run folder '{run}' does not exist; give the --out folder of a `gan-gym train`")
    if not (run / "config.yaml").is_file():
        raise ValueError(
            f"'{run}' is not a run: it holds no config.yaml; give the --out folder of a `gan-gym train`"
        )
    missing: list[str] = []
    rows = _read_rows(run / "metrics.jsonl", missing)
    samples = _read_samples(run / "samples", missing)
    real = run / "samples" / "real.png"
    has_real = _is_picture(real)
    if not has_real:
        missing.append("No picture of real patches (samples/real.png) to compare with.")
    command = run / "command.txt"
    if not command.is_file():
        missing.append("The command was not recorded (command.txt).")
    evaluation = _read_evaluation(run / "evaluation.json", missing)
    closest = run / CLOSEST
    has_closest = _is_picture(closest)
    if not has_closest and (evaluation or {}).get("memorisation", {}).get("value") is not None:
        missing.append(f"No sheet of the closest pairs ({CLOSEST.as_posix()}): run `gan-gym evaluate`.")
    return RunRecord(
        name=run.resolve().name,
        rows=rows,
        config=(run / "config.yaml").read_text("utf-8", errors="replace"),
        command=command.read_text("utf-8", errors="replace").strip() if command.is_file() else None,
        samples=samples,
        real=real if has_real else None,
        evaluation=evaluation,
        environment=_read_environment(run / "env.json", missing),
        closest=closest if has_closest else None,
        missing=tuple(missing),
    )


def _read_rows(file: Path, missing: list[str]) -> tuple[Mapping[str, object], ...]:
    """Read the rows that are whole: a run that was cut off may end in half a line."""
    lines = file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []
    rows: list[Mapping[str, object]] = []
    broken = 0
    for line in filter(None, map(str.strip, lines)):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            broken += 1
    if not rows:
        missing.append("No env step was finished: metrics.jsonl is missing or empty.")
    if broken:
        missing.append(f"Unreadable lines of metrics.jsonl, left out: {broken}.")
    return tuple(rows)


def _read_samples(folder: Path, missing: list[str]) -> tuple[tuple[int, Path], ...]:
    """Find the grids whose names end in the number of images seen."""
    found = []
    for file in folder.glob("*.png"):
        number = re.search(r"(\d+)$", file.stem)
        if number and _is_picture(file):
            found.append((int(number.group()), file))
    if not found:
        missing.append("No sample grids (samples/*.png).")
    return tuple(sorted(found))


def _read_evaluation(file: Path, missing: list[str]) -> Mapping[str, Mapping[str, object]] | None:
    """Read the metrics that have the documented form."""
    if not file.is_file():
        missing.append("Not evaluated yet: run `gan-gym evaluate` for KID, precision, recall and the others.")
        return None
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        document = None
    metrics = document if isinstance(document, dict) else {}
    metrics = {key: value for key, value in metrics.items() if isinstance(value, dict) and "value" in value}
    if not metrics:
        missing.append("evaluation.json is not readable: run `gan-gym evaluate` again.")
        return None
    return metrics


def _read_environment(file: Path, missing: list[str]) -> Mapping[str, object] | None:
    """Read what is known of the machine."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        missing.append("Versions and device were not recorded, or cannot be read (env.json).")
        return None
    return document


def _is_picture(file: Path) -> bool:
    """Whether a file opens as a whole PNG."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _number(value: object) -> float:
    """Return a finite number, or NaN for anything else."""
    if isinstance(value, int | float) and np.isfinite(value):
        return float(value)
    return float("nan")
