"""Pictures of a run: sample grids, and the frame of `env.render`. Headless, without global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from gan_gym.data.sampler import to_uint8

Frame = NDArray[np.uint8]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
"""Line styles beside the colours, for print in grey."""
_SIMILARITIES = ("quality", "fidelity", "coverage", "diversity")
_LOSSES = ("g_loss", "d_loss")
_OFF = 1e-6


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
    """Draw generated samples beside real ones over the traces of similarity, losses and knobs.

    Args:
        real: real samples, `(N, 2)` points or `(N, 3, H, W)` patches.
        fake: generated samples of the same form.
        trace: one `info` an env step; of the similarities, what it holds is drawn.
        knobs: names of the knobs whose values are drawn.

    Returns:
        `(600, 800, 3)` uint8.
    """
    figure = Figure(figsize=(8, 6), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(3, 2)))
    left, right = top.subplots(1, 2)
    draw_samples(left, real, real, COLOURS[0])
    draw_samples(right, fake, real, COLOURS[1])
    now = trace[-1]
    left.set_title("real", fontsize=10)
    right.set_title(f"generated, env step {now['env_step']:.0f}, quality {now['quality']:.2f}", fontsize=10)
    similarity, losses, values = bottom.subplots(1, 3)
    _draw_traces(similarity, trace, [name for name in _SIMILARITIES if name in now], "similarity")
    similarity.set_ylim(-0.05, 1.25)
    _draw_traces(losses, trace, _LOSSES, "losses")
    _draw_traces(values, trace, knobs, "knobs (bottom = off)", least=_OFF)
    values.set_yscale("log")
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[no-untyped-call]


def _draw_traces(
    axis: Axes, trace: Sequence[Mapping[str, float]], names: Sequence[str], title: str, least: float = -np.inf
) -> None:
    """Plot some keys of the trace over env steps, with their names above the plot."""
    steps = [row["env_step"] for row in trace]
    for i, name in enumerate(names):
        axis.plot(
            steps,
            [max(row[name], least) for row in trace],
            label=name,
            color=COLOURS[i % len(COLOURS)],
            linestyle=STYLES[i % len(STYLES)],
            marker="." if len(trace) == 1 else "",
            linewidth=1.6,
        )
    axis.set_ylabel(title, fontsize=8)
    axis.set_xlabel("env step", fontsize=8)
    axis.tick_params(which="both", labelsize=7)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(
        fontsize=7, ncols=2, frameon=False, handlelength=1.8, loc="lower center", bbox_to_anchor=(0.5, 1.0)
    )


def draw_samples(axis: Axes, samples: Tensor, real: Tensor, colour: str = COLOURS[1]) -> None:
    """Draw patches as a grid, or points, over the real ones where they are not those themselves.

    Args:
        axis: where to draw.
        samples: `(N, 2)` points or `(N, 3, H, W)` patches in [-1, 1], of which 64 are shown.
        real: real samples of the same form, by whose reach points are framed.
        colour: of points.
    """
    if samples.ndim == 4:
        axis.imshow(image_grid(samples[:64]), interpolation="nearest")
        axis.axis("off")
        return
    reach = 1.3 * float(real.abs().max())
    if samples is not real:
        axis.plot(real[:, 0].cpu(), real[:, 1].cpu(), ".", markersize=2, color="0.8")
    points = torch.nan_to_num(samples).clamp(-reach, reach).cpu()
    axis.plot(points[:, 0], points[:, 1], ".", markersize=2.5, color=colour)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.tick_params(labelsize=7)
