"""Convolutional GANs on H&E patches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import torch
from torch import nn

from gan_gym.data.fingerprint import data_fingerprint
from gan_gym.data.loading import load_patches
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import PatchSampler, to_float
from gan_gym.data.sizes import parse_image_size
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.problem import Problem
from gan_gym.knobs import DEFAULT_KNOBS, IMAGE_SCALE
from gan_gym.rewards import load_reward_model, siamese_scorer

MIN_PATCHES = 8
"""Fewest patches, whatever the batch: half of them are the reference of the similarity statistics."""
N_SCORED = 128
N_SHOWN = 64


def patch_problem(patches: PatchSet, reward_model: nn.Module, device: torch.device) -> Problem:
    """Return the problem of generating these patches."""
    return Problem(
        source=PatchSampler(patches.images.to(device)),
        scorer=siamese_scorer(reward_model, patches, N_SCORED, device),
        n_scored=N_SCORED,
        shown=to_float(patches.images[torch.linspace(0, len(patches) - 1, N_SHOWN).long()]),
    )


@lru_cache(maxsize=4)
def _problem(
    data: str | None,
    seen: str,
    image_size: tuple[int, int],
    reward_model: nn.Module,
    min_patches: int,
    device: torch.device,
) -> Problem:
    patches = load_patches(data, image_size, min_patches=min_patches).patches
    return patch_problem(patches, reward_model, device)


class HistoGANEnv(GANEnv):
    """Convolutional GAN on H&E patches; spaces, reward and episodes as in `GANEnv`.

    ## Description
    By default the patches are the embedded synthetic tissue, 32 x 32, with nothing to download; `data` takes
    a folder of patches or a MedMNIST `.npz`. 128 generated patches are scored per env step in the embedding
    of a Siamese network (MFT-SNN), and by their power spectra and colours; each score is the lower one of
    both, so that patches made for the network alone gain nothing.

    ## Arguments
    * `data=None`: path of a folder or `.npz` with a batch of patches at least; `None` is the embedded tissue.
    * `image_size=32`: pixels, a whole number, `(height, width)` or `"HxW"`, multiples of 8.
    * `reward_model=None`: folder of a fitted MFT-SNN; `None` is the small one that ships.
    * `networks="light"` (or another pair of `gan.NETWORKS` that makes patches), `loss="non_saturating"`,
      `batch_size=32`, `inner_steps=50`, `episode_steps=40`,
      `knobs=("g_lr", "d_lr", "r1_gamma", "beta1")`, `reward="quality"`, `instances="default"`,
      `device="auto"`, `precision="float32"`, `compile=False`, `render_mode=None`: see `GANEnv`.

    ## References
    Mustafa 2024, arXiv 2409.20340.

    ## Version History
    * v0: initial version.
    """

    knob_scale = IMAGE_SCALE
    default_settings = {"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5}  # noqa: RUF012

    def __init__(
        self,
        data: str | None = None,
        image_size: int | str | Sequence[int] = 32,
        reward_model: str | None = None,
        networks: str = "light",
        loss: str = "non_saturating",
        batch_size: int = 32,
        inner_steps: int = 50,
        episode_steps: int = 40,
        knobs: Sequence[str] = DEFAULT_KNOBS,
        reward: str = "quality",
        instances: str = "default",
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        render_mode: str | None = None,
    ) -> None:
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
            data=None if data is None else str(data),
            image_size=parse_image_size(image_size),
            reward_model=None if reward_model is None else str(reward_model),
        )

    @classmethod
    def on_patches(cls, patches: PatchSet, **kwargs: Any) -> Self:
        """Make an environment on patches in memory; `kwargs` as in `gym.make`, without `data`."""
        env = cls(image_size=patches.image_size, **kwargs)
        env.use(patches)
        return env

    def use(self, patches: PatchSet) -> None:
        """Generate these patches, whatever `data` says."""
        self._problem = patch_problem(patches, self._load_reward_model(), self.device)

    def load(self) -> PatchSet:
        """Return the patches that `data` says."""
        given = self._problem_arguments
        return load_patches(given["data"], given["image_size"], min_patches=self._min_patches).patches

    def build_problem(self) -> Problem:
        """Return the patches and their scorer: those of an earlier environment unless their files changed."""
        given = self._problem_arguments
        return _problem(
            given["data"],
            data_fingerprint(given["data"]),
            given["image_size"],
            self._load_reward_model(),
            self._min_patches,
            self.device,
        )

    def _load_reward_model(self) -> nn.Module:
        return load_reward_model(self._problem_arguments["reward_model"], self.device)

    @property
    def _min_patches(self) -> int:
        return max(self.config.batch_size, MIN_PATCHES)
