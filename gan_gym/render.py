"""Pictures of a run: sample grids, and the frame of `env.render`. Headless, without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from gan_gym.data.sampler import to_uint8

Frame = NDArray[np.uint8]


def image_grid(images: Tensor, n_columns: int = 8, scale: int = 1) -> Frame:
    """Lay patches out row by row.

    Args:
        images: `(N, 3, H, W)` floats in [-1, 1] or uint8.
        n_columns: patches in a row.
        scale: whole factor each pixel is enlarged by.

    Returns:
        `(rows * H * scale, n_columns * W * scale, 3)` uint8; places without a patch are white.
    """
    pixels = (images if images.dtype == torch.uint8 else to_uint8(torch.nan_to_num(images))).cpu()
    n, _, height, width = pixels.shape
    n_rows = -(-n // n_columns)
    canvas = torch.full((n_rows * n_columns, 3, height, width), 255, dtype=torch.uint8)
    canvas[:n] = pixels
    grid = canvas.view(n_rows, n_columns, 3, height, width).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(n_rows * height, n_columns * width, 3)
    frame: Frame = grid.repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy()
    return frame


def draw_frame(
    real: Tensor, fake: Tensor, trace: Sequence[Mapping[str, float]], knobs: Sequence[str]
) -> Frame:
    """Draw generated samples beside real ones over the traces of quality, losses and knobs.

    Args:
        real: real samples, `(N, 2)` points or `(N, 3, H, W)` patches.
        fake: generated samples of the same form.
        trace: one `info` an env step.
        knobs: names of the knobs whose values are drawn.

    Returns:
        `(600, 800, 3)` uint8.
    """
    figure = Figure(figsize=(8, 6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, height_ratios=(3, 2))
    for axis, samples, title in ((axes[0, 0], real, "real"), (axes[0, 1], fake, "generated")):
        _draw_samples(axis, samples, real)
        axis.set_title(title)
    steps = [row["env_step"] for row in trace]
    for name in ("g_loss", "d_loss", "quality"):
        axes[1, 0].plot(steps, [row[name] for row in trace], label=name, marker=".")
    for name in knobs:
        axes[1, 1].plot(steps, [max(row[name], 1e-6) for row in trace], label=name, marker=".")
    axes[1, 1].set_yscale("log")
    for axis in axes[1]:
        axis.set_xlabel("env step")
        axis.legend(fontsize="small")
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]


def _draw_samples(axis: Axes, samples: Tensor, real: Tensor) -> None:
    if samples.ndim == 4:
        axis.imshow(image_grid(samples[:64]), interpolation="nearest")
        axis.axis("off")
        return
    reach = 1.3 * float(real.abs().max())
    points = torch.nan_to_num(samples).clamp(-reach, reach).cpu()
    axis.plot(points[:, 0], points[:, 1], ".", markersize=2)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
