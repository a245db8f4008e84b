"""A convolutional GAN on images whose modes can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn

from gan_gym.data.digits import N_MODES, load_digit_classifier, stacked_digits
from gan_gym.data.sampler import PatchSampler, to_float
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.problem import Problem
from gan_gym.knobs import DEFAULT_KNOBS, IMAGE_SCALE
from gan_gym.rewards import load_reward_model, siamese_scorer

N_IMAGES = 4096
N_SCORED = 128
N_COUNTED = 1000
N_SHOWN = 64


@lru_cache(maxsize=2)
def _problem(reward_model: nn.Module, device: torch.device) -> Problem:
    digits = stacked_digits(N_IMAGES, seed=0, split="train")
    return Problem(
        source=PatchSampler(digits.images.to(device), mirror=False),
        scorer=siamese_scorer(reward_model, digits, N_SCORED, device),
        n_scored=N_SCORED,
        shown=to_float(digits.images[:N_SHOWN]),
        count_modes=load_digit_classifier(device).count_modes,
        n_modes=N_MODES,
        n_counted=N_COUNTED,
    )


class StackedDigitsGANEnv(GANEnv):
    """Small GAN on three stacked 8 x 8 digits, 1000 modes; spaces, reward and episodes as in `GANEnv`.

    ## Description
    Three digits of scikit-learn's `load_digits` are the red, green and blue channel of one 3 x 8 x 8 image;
    its mode is the number of three digits. Modes are counted by a separate classifier per channel, fitted on
    digits the GAN never sees; 1,000 samples are counted per env step, so at most about 632 modes can be seen
    even by a perfect generator (1000 (1 - (1 - 1/1000)^1000)). The protocol is Stacked MNIST's; figures are
    comparable only with our own runs.

    ## Arguments
    * `reward_model=None`: folder of a fitted MFT-SNN; `None` is the one for stacked digits that ships.
    * `networks="light"` (`"light_weak_d"` is the hard setting, with a discriminator a quarter as wide),
      `loss="non_saturating"`, `batch_size=32`, `inner_steps=50`, `episode_steps=40`,
      `knobs=("g_lr", "d_lr", "r1_gamma", "beta1")`, `reward="quality"`, `instances="default"`,
      `device="auto"`,
      `precision="float32"`, `compile=False`, `render_mode=None`: see `GANEnv`.

    ## References
    Metz et al. 2017, Unrolled GANs, arXiv 1611.02163; Srivastava et al. 2017, VEEGAN, arXiv 1705.07761.

    ## Version History
    * v0: initial version.
    """

    knob_scale = IMAGE_SCALE
    default_settings = {"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5}  # noqa: RUF012

    def __init__(
        self,
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
            reward_model=None if reward_model is None else str(reward_model),
        )

    def build_problem(self) -> Problem:
        """Return the stacked digits and their scorer."""
        model = load_reward_model(self._problem_arguments["reward_model"] or "digits", self.device)
        return _problem(model, self.device)
