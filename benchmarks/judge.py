"""KID on held-out patches by a network that no reward uses: gains must show in what was never rewarded."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from agents.splitting import split_held_out
from gan_gym.data.loading import load_patches
from gan_gym.data.sampler import to_uint8
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.gan import GANTrainer
from gan_gym.metrics import embed, kid, load_extractor
from gan_gym.randomness import generator

HELD_OUT = 0.2
"""Share of the patches kept from training, by slide or patient where these are known."""
N_FAKES = 500
"""Generated patches that are judged."""
AT_A_TIME = 100
"""Of these, made at once."""


class Judge:
    """Measures how far GANs are from patches that none of them was trained on.

    Args:
        held_out: `(N, 3, H, W)` uint8 patches.
        device: of the extractor.
    """

    def __init__(self, held_out: Tensor, device: torch.device) -> None:
        self._extractor = load_extractor(device=str(device))
        self._real = embed(self._extractor, held_out)

    def kid(self, trainer: GANTrainer) -> float:
        """Return the KID of the averaged generator's samples, from the same latents for every GAN."""
        z = torch.randn(N_FAKES, trainer.z_dim, generator=generator(0, "judge"))
        fakes = torch.cat([to_uint8(trainer.sample(part)).cpu() for part in torch.split(z, AT_A_TIME)])
        distance = kid(self._real, embed(self._extractor, fakes)).value
        assert distance is not None, "there are too few held-out patches"
        return distance


def keep_for_judge(arguments: Mapping[str, Any]) -> tuple[HistoGANEnv, Judge]:
    """Return an environment whose data lack some patches, and the judge that has them.

    Args:
        arguments: of `HistoGANEnv`, its data included.
    """
    bound = inspect.signature(HistoGANEnv).bind(**arguments)
    bound.apply_defaults()
    others = dict(bound.arguments)
    patches = load_patches(others.pop("data"), others.pop("image_size")).patches
    train, held_out = split_held_out(patches, HELD_OUT, seed=0)
    env = HistoGANEnv.on_patches(train, **others)
    return env, Judge(held_out.images, env.device)
