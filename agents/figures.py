"""The figures of a run, as the report embeds them and as PNG files in the run's folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from agents.pictures import draw_knobs, draw_losses, draw_reward
from agents.run_record import RunRecord
from agents.sheets import draw_pair, draw_progress
from gan_gym.checkpoint import replace_file


def draw_figures(record: RunRecord) -> dict[str, bytes]:
    """Draw all that a run has something to show for; PNG by name.

    `reward`, `losses`, `knobs` (values and actions), all against training progress; `progress` (the same
    latents over time); `generated_and_real`.
    """
    drawn: dict[str, bytes] = {}
    if record.rows:
        drawn["reward"], drawn["losses"] = draw_reward(record), draw_losses(record)
    if record.knobs:
        drawn["knobs"] = draw_knobs(record)
    if len(record.samples) > 1:
        drawn["progress"] = _png(draw_progress(record.samples))
    if record.samples and record.real is not None:
        n_images, last = record.samples[-1]
        labels = (f"generated, after {n_images:,} images", "real")
        drawn["generated_and_real"] = _png(draw_pair(last, record.real, labels))
    return drawn


def write_figures(run: Path, drawn: Mapping[str, bytes]) -> None:
    """Write figures into `figures/` of a run's folder.

    Raises:
        ValueError: if the folder cannot be written to.
    """
    folder = run / "figures"
    try:
        folder.mkdir(exist_ok=True)
        for name, png in drawn.items():
            replace_file(folder / f"{name}.png", png)
    except OSError as error:
        raise ValueError(
            f"cannot write into '{folder}': {error.strerror}; check its permissions and the free space"
        ) from error


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
