"""A small denoising diffusion model, the baseline that is no GAN (extra `[eval]`)."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gan_gym.data.sampler import PatchSampler, to_uint8
from gan_gym.randomness import generator

N_LEVELS = 1000
"""Noise levels that it learns."""
N_SAMPLING_STEPS = 50
"""Of these, passed in sampling."""
LR = 1e-3
EMA_HALFLIFE = 2500
"""Half-life of the averaged weights, in images, as for the GANs."""
AT_A_TIME = 100
"""Patches sampled at once."""


def check_installed() -> None:
    """Say what is missing where the extra is not installed.

    Raises:
        ValueError: if `diffusers` is not there.
    """
    if find_spec("diffusers") is None:
        raise ValueError(
            "model 'ddpm' needs diffusers; install it with: pip install 'gan-gym[eval]', or leave it out"
        )


class Diffusion:
    """The denoising diffusion model of Ho et al. 2020 (arXiv 2006.11239) on patches.

    UNet and schedulers are those of `diffusers`; it learns to tell the noise (eq. 14) and samples by DDIM
    (Song et al. 2020, arXiv 2010.02502) in fewer steps.

    Args:
        image_size: height and width, multiples of 8.
        seed: seed of its weights, batches and noise.
        device: where it computes.
    """

    def __init__(self, image_size: tuple[int, int], seed: int, device: torch.device) -> None:
        diffusers: Any = import_module("diffusers")
        self.seed, self.device, self.image_size = seed, device, image_size
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.network: nn.Module = diffusers.UNet2DModel(
                sample_size=image_size,
                block_out_channels=(32, 64, 64),
                layers_per_block=1,
                down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
                up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
                norm_num_groups=8,
            ).to(device)
        self.averaged: nn.Module = self.network
        self.noising = diffusers.DDPMScheduler(N_LEVELS)
        self.sampling = diffusers.DDIMScheduler(N_LEVELS)

    def train(self, images: Tensor, n_images: int, batch_size: int) -> str:
        """Train on patches `(N, 3, H, W)` uint8 until `n_images` were seen; return how it ended.

        Returns:
            `budget`, or `diverged` where a loss was not finite; the average is then of before.
        """
        source = PatchSampler(images)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=LR)
        decay = get_ema_multi_avg_fn(0.5 ** (batch_size / EMA_HALFLIFE))  # type: ignore[no-untyped-call]
        self.averaged = averaged = AveragedModel(self.network, multi_avg_fn=decay)
        for step in range(-(-n_images // batch_size)):
            rng = generator(self.seed, "diffusion", step)
            x = source.batch(batch_size, rng).to(self.device)
            noise = torch.randn(x.shape, generator=rng).to(self.device)
            level = torch.randint(N_LEVELS, (batch_size,), generator=rng).to(self.device)
            predicted = self.network(self.noising.add_noise(x, noise, level), level).sample
            loss = F.mse_loss(predicted, noise)
            if not bool(loss.isfinite()):
                return "diverged"
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(self.network)
        return "budget"

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return `n` generated patches, uint8 `(n, 3, H, W)` on the CPU."""
        z = torch.randn(n, 3, *self.image_size, generator=generator(self.seed, "diffusion samples"))
        self.sampling.set_timesteps(N_SAMPLING_STEPS)
        parts = []
        for part in torch.split(z, AT_A_TIME):
            x = part.to(self.device)
            for level in self.sampling.timesteps:
                noise = self.averaged(x, level).sample
                x = self.sampling.step(noise, level, x).prev_sample
            parts.append(to_uint8(x.clamp(-1, 1)).cpu())
        return torch.cat(parts)
