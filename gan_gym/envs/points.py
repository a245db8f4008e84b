"""GANs on points in the plane: cheap enough to train controllers in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from gan_gym.data.mixtures import MixtureSampler
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.problem import Problem
from gan_gym.knobs import DEFAULT_KNOBS
from gan_gym.randomness import generator
from gan_gym.rewards import point_scorer

N_SCORED = 400
N_COUNTED = 2500
"""Samples of the mode-collapse protocol (VEEGAN, arXiv 1705.07761)."""


def _problem(source: MixtureSampler, device: torch.device) -> Problem:
    return Problem(
        source=source,
        scorer=point_scorer(source, N_SCORED, device),
        n_scored=N_SCORED,
        shown=source.batch(N_COUNTED, generator(0, "shown")),
        count_modes=source.count_modes,
        n_modes=len(source.centres),
        n_counted=N_COUNTED,
    )


@lru_cache(maxsize=8)
def _grid(spacing: float, std: float, device: torch.device) -> Problem:
    return _problem(MixtureSampler.grid(spacing, std), device)


@lru_cache(maxsize=8)
def _ring(radius: float, std: float, device: torch.device) -> Problem:
    return _problem(MixtureSampler.ring(radius, std), device)


class GridGANEnv(GANEnv):
    """MLP GAN on the 5 x 5 grid of Gaussians; spaces, reward and episodes as in `GANEnv`.

    ## Description
    25 modes, 2,500 samples counted per env step. The published protocol is `spacing=2.0, std=0.05`; the
    default is twice as blunt.

    ## Arguments
    * `spacing=1.0`: distance of neighbouring modes.
    * `std=0.05`: standard deviation of a mode.
    * `networks="mlp"` (or `"mlp_large"`; `"pacgan"` is the published protocol's pair),
      `loss="non_saturating"`, `batch_size=64`, `inner_steps=25`, `episode_steps=40`,
      `knobs=("g_lr", "d_lr", "r1_gamma", "beta1")`, `reward="quality"`, `instances="default"`,
      `device="cpu"` (a
      GPU is slower on one network this small), `precision="float32"`, `compile=False`,
      `render_mode=None`: see `GANEnv`.

    ## References
    Srivastava et al. 2017, VEEGAN, arXiv 1705.07761; Lin et al. 2018, PacGAN, arXiv 1712.04086.

    ## Version History
    * v0: initial version.
    """

    default_settings = {"g_lr": 1e-3, "d_lr": 1e-3, "beta1": 0.5}  # noqa: RUF012

    def __init__(
        self,
        spacing: float = 1.0,
        std: float = 0.05,
        networks: str = "mlp",
        loss: str = "non_saturating",
        batch_size: int = 64,
        inner_steps: int = 25,
        episode_steps: int = 40,
        knobs: Sequence[str] = DEFAULT_KNOBS,
        reward: str = "quality",
        instances: str = "default",
        device: str = "cpu",
        precision: str = "float32",
        compile: bool = False,
        render_mode: str | None = None,
    ) -> None:
        MixtureSampler.grid(spacing, std)
        super().__init__(
            networks=networks,
            loss=loss,
            batch_size=batch_size,
            inner_steps=inner_steps,
            episode_steps=episode_steps,
            knobs=knobs,
            reward=reward,
            instances=instances,
            device=device,
            precision=precision,
            compile=compile,
            render_mode=render_mode,
            spacing=spacing,
            std=std,
        )

    def build_problem(self) -> Problem:
        """Return the grid and its scorer."""
        return _grid(**self._problem_arguments, device=self.device)


class RingGANEnv(GANEnv):
    """MLP GAN on the ring of eight Gaussians; spaces, reward and episodes as in `GANEnv`.

    ## Description
    Eight modes at angles 2 pi i / 8, 2,500 samples counted per env step. The published protocol is
    `std=0.01`; the default is five times as blunt. Held out: no shipped controller was trained on it.

    ## Arguments
    * `radius=1.0`: radius of the ring.
    * `std=0.05`: standard deviation of a mode.
    * the others as in `GridGANEnv`.

    ## References
    Srivastava et al. 2017, VEEGAN, arXiv 1705.07761; Lin et al. 2018, PacGAN, arXiv 1712.04086.

    ## Version History
    * v0: initial version.
    """

    default_settings = GridGANEnv.default_settings

    def __init__(
        self,
        radius: float = 1.0,
        std: float = 0.05,
        networks: str = "mlp",
        loss: str = "non_saturating",
        batch_size: int = 64,
        inner_steps: int = 25,
        episode_steps: int = 40,
        knobs: Sequence[str] = DEFAULT_KNOBS,
        reward: str = "quality",
        instances: str = "default",
        device: str = "cpu",
        precision: str = "float32",
        compile: bool = False,
        render_mode: str | None = None,
    ) -> None:
        MixtureSampler.ring(radius, std)
        super().__init__(
            networks=networks,
            loss=loss,
            batch_size=batch_size,
            inner_steps=inner_steps,
            episode_steps=episode_steps,
            knobs=knobs,
            reward=reward,
            instances=instances,
            device=device,
            precision=precision,
            compile=compile,
            render_mode=render_mode,
            radius=radius,
            std=std,
        )

    def build_problem(self) -> Problem:
        """Return the ring and its scorer."""
        return _ring(**self._problem_arguments, device=self.device)
