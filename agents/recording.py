"""Write down a GAN run as it happens: metrics, TensorBoard, sample grids, progress."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.run_folder import MetricsFile
from gan_gym.checkpoint import replace_file
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.gan import GANTrainer
from gan_gym.randomness import generator
from gan_gym.render import image_grid

N_SHOWN = 64
"""Patches in a sample grid; the latents are the same in every grid of a run."""


N_GRIDS = 10
"""Sample grids of a run, apart from the first."""


def save_grid(images: Tensor, path: Path) -> None:
    """Write a grid of patches, small ones enlarged, as PNG."""
    scale = max(1, 64 // max(images.shape[2:]))
    path.parent.mkdir(exist_ok=True)
    png = io.BytesIO()
    Image.fromarray(image_grid(images, scale=scale)).save(png, "PNG", compress_level=3)  # 6 takes 4x as long
    replace_file(path, png.getvalue())


def sample_grid(trainer: GANTrainer, seed: int) -> Tensor:
    """Return the patches that the fixed latents of a run give now, `(64, 3, H, W)`."""
    z = torch.randn(N_SHOWN, trainer.z_dim, generator=generator(seed, "grid"))
    return trainer.sample(z).cpu()


class Recorder:
    """Records every env step of one run.

    Args:
        run: the run's folder.
        env: the environment.
        seed: the run's seed; draws the latents of the sample grids.
        n_rows: rows of `metrics.jsonl` that the checkpoint being continued knows.
    """

    def __init__(self, run: Path, env: HistoGANEnv, seed: int, n_rows: int) -> None:
        self.run, self.env, self.seed = run, env, seed
        self.samples_every = max(1, env.episode_steps // N_GRIDS)
        self.metrics = MetricsFile(run / "metrics.jsonl", n_rows)
        # of what an earlier process wrote after the point we continue from, TensorBoard shows nothing
        self.board = SummaryWriter(str(run), purge_step=env.trainer.n_images + 1 if n_rows else 0)
        done = env.current()[1]["env_step"]
        self.bar = tqdm(total=env.episode_steps, initial=done, unit="block", desc="training the GAN")
        if not n_rows:
            self._show("real", env.problem.shown, 0, "real.png")
            self.draw(0)

    def row(self, action: Any, reward: float, info: Mapping[str, Any], n_rollbacks: int) -> None:
        """Record an env step: `action` has one component a knob."""
        actions = {f"action_{knob.name}": float(a) for knob, a in zip(self.env.knobs, action, strict=True)}
        row = {**info, **actions, "reward": float(reward), "n_rollbacks": n_rollbacks}
        self.metrics.append(row)
        for key, value in row.items():
            if isinstance(value, int | float):
                self.board.add_scalar(key, value, info["n_images"])
        self.bar.update()
        self.bar.set_postfix(quality=f"{info['quality']:.3f}", images=info["n_images"])
        due = info["env_step"] % self.samples_every == 0 or info["end"]
        if due and not info["diverged"]:
            self.draw(info["n_images"])

    def sync(self) -> None:
        """Bring all that was recorded to the disk, before a checkpoint that counts on it."""
        self.metrics.sync()
        self.board.flush()

    def draw(self, n_images: int) -> None:
        """Write the sample grid of this moment."""
        images = sample_grid(self.env.trainer, self.seed)
        self._show("samples", images, n_images, f"{n_images:09d}.png")

    def _show(self, tag: str, images: Tensor, n_images: int, name: str) -> None:
        """Write a grid, and give it to TensorBoard.

        The latter as JPEG: TensorBoard checks all it writes byte by byte in Python, and the picture itself
        is in the folder.
        """
        save_grid(images, self.run / "samples" / name)
        jpeg = io.BytesIO()
        Image.fromarray(image_grid(images)).save(jpeg, "JPEG", quality=90)
        picture = Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=jpeg.getvalue()))
        self.board.file_writer.add_summary(Summary(value=[picture]), n_images)  # type: ignore[attr-defined]

    def __enter__(self) -> Self:
        """Return the recorder; leaving it closes its files."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all files, and leave the progress bar's line."""
        self.bar.close()
        self.metrics.close()
        self.board.close()
