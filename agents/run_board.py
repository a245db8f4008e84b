"""The end of a run in TensorBoard: options and final figures (HParams), and what MFT-SNN sees (projector).

All of it lies in an event file and a folder of its own, which are replaced when it is written again, so that
nothing is there twice.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from agents.run_folder import read_config
from agents.run_record import read_run
from gan_gym.checkpoint import replace_file
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import to_float
from gan_gym.names import one_line
from gan_gym.render import image_grid
from snn.siamese import SiameseNet, embed_images

N_EMBEDDED = 128
"""Most patches a side in the projector."""
SUFFIX = ".end"
"""Ending of the event file that holds the end of a run."""
PROJECTOR = "projector_config.pbtxt"
"""Where TensorBoard looks for a projector in a run's folder; written last of all."""
FINAL = ("quality", "fidelity", "coverage", "diversity", "kernel")
"""Scalars of the run whose last values the HParams tab shows, beside those of the evaluation."""
_NOT_OPTIONS = ("out", "resume", "dry_run")
_SIDE = 32
_CONFIG = f"""embeddings {{
  tensor_name: "MFT-SNN"
  tensor_path: "projector/tensors.tsv"
  metadata_path: "projector/metadata.tsv"
  sprite {{
    image_path: "projector/sprite.png"
    single_image_dim: {_SIDE}
    single_image_dim: {_SIDE}
  }}
}}
"""


def write_end(run: Path) -> None:
    """Write the options and the final figures, for TensorBoard's HParams tab, from what the folder holds.

    `SummaryWriter.add_hparams` would make a run of its own for them, beside the curves they belong to.

    Raises:
        ValueError: if the folder is no run.
    """
    record = read_run(run)
    step = int(record.progress[1][-1]) if record.rows else 0
    options = {
        key: value if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)
        for key, value in asdict(read_config(str(run))).items()
        if key not in _NOT_OPTIONS
    }
    evaluated = {
        f"evaluation/{key}": float(metric["value"])
        for key, metric in (record.evaluation or {}).items()
        if isinstance(metric["value"], int | float)
    }
    for old in run.glob(f"events.*{SUFFIX}"):
        old.unlink()
    with SummaryWriter(str(run), filename_suffix=SUFFIX) as board:
        summaries = hparams(options, dict.fromkeys([*FINAL, *evaluated]))  # type: ignore[no-untyped-call]
        for summary in summaries:
            board.file_writer.add_summary(summary, step)
        for key, value in evaluated.items():
            board.add_scalar(key, value, step)


def _text(value: object) -> str:
    """Return an option as the tab shows it."""
    return one_line(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def write_projector(run: Path, patches: PatchSet, generated: Tensor) -> None:
    """Write real and generated patches as the run's reward model embeds them, for TensorBoard's projector.

    Args:
        run: the run's folder, which holds the reward model.
        patches: real patches; `N_EMBEDDED` of them are shown, evenly spaced.
        generated: `(M, 3, H, W)` uint8 generated patches, all of which are shown.
    """
    shown = torch.linspace(0, len(patches) - 1, min(N_EMBEDDED, len(patches))).long()
    images = torch.cat([patches.images[shown], generated])
    points = embed_images(SiameseNet.load(run / "snn"), images)
    labels = [f"real\t{patches.classes[i]}" for i in patches.labels[shown].tolist()]
    labels += ["generated\tgenerated"] * len(generated)
    files = {
        "projector/tensors.tsv": _lines(["\t".join(f"{x:.6g}" for x in point) for point in points.tolist()]),
        "projector/metadata.tsv": _lines(["kind\tclass", *labels]),
        "projector/sprite.png": _sprite(images),
        PROJECTOR: _CONFIG.encode(),
    }
    (run / "projector").mkdir(exist_ok=True)
    for name, content in files.items():
        replace_file(run / name, content)


def _lines(rows: Sequence[str]) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def _sprite(images: Tensor) -> bytes:
    """Return all patches, made small and square, row by row in one square PNG."""
    small = interpolate(to_float(images), (_SIDE, _SIDE), mode="area")
    n_columns = math.isqrt(len(images) - 1) + 1
    blank = torch.ones(n_columns**2 - len(images), 3, _SIDE, _SIDE)
    png = io.BytesIO()
    Image.fromarray(image_grid(torch.cat([small, blank]), n_columns)).save(png, "PNG")
    return png.getvalue()
