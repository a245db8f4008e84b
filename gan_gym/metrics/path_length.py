"""Perceptual path length: how abruptly generated images change along short steps between latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from gan_gym.latents import slerp
from gan_gym.metrics.extractors import Extractor
from gan_gym.metrics.halfsampling import standard_errors
from gan_gym.metrics.metric import Metric
from gan_gym.randomness import generator

N_PAIRS = 256
"""Pairs of latents: 512 images, a tenth of a large evaluation's."""
EPSILON = 1e-4
"""Length of a step as a share of the way, as published."""
TRIMMED = 0.01
"""Share of the shortest and of the longest steps that is left out, as in the authors' code."""
_BATCH = 32


@dataclass(frozen=True)
class Decoder:
    """A generator as the path length sees it."""

    decode: Callable[[Tensor], Tensor]
    """Latents `(N, z_dim)`, on the CPU, to images, float `(N, 3, H, W)` RGB in [-1, 1], not rounded."""
    z_dim: int
    """Number of components of a latent, which is standard normal."""


def path_length(
    decoder: Decoder, extractor: Extractor, *, n_pairs: int = N_PAIRS, seed: int = 0, progress: bool = False
) -> Metric:
    """Compute the perceptual path length in z: `E[d(G(slerp(a, b; t)), G(slerp(a, b; t + e))) / e^2]`.

    `a` and `b` are normal latents, `t` is uniform in [0, 1], `e = 1e-4`, and the distance is the squared
    Euclidean one of the extractor's unit-length features. Lower is smoother: every latent leads to a
    plausible image. A collapsed generator is smooth too (0 where it makes one image): see coverage.

    A hundredth of the steps at either end is left out, as in the authors' code though not in their equation:
    without that, single jumps rule the mean and its interval means little. Figures compare only with others
    of the same extractor and image size, never with published ones, whose distance is another network's.

    Args:
        decoder: the generator.
        extractor: the feature extractor.
        n_pairs: pairs of latents.
        seed: seed of latents, places and intervals.
        progress: show a progress bar where it takes longer than two seconds.

    References:
        Karras et al. 2019, "A style-based generator architecture", https://arxiv.org/abs/1812.04948, eq. (2);
        Shoemake 1985, "Animating rotation with quaternion curves" (slerp).
    """
    draw = generator(seed, "path_length")
    a, b = torch.randn(2, n_pairs, decoder.z_dim, generator=draw, dtype=torch.float64)
    t = torch.rand(n_pairs, 1, generator=draw, dtype=torch.float64)
    steps: list[Tensor] = []
    for rows in tqdm(
        torch.split(torch.arange(n_pairs), _BATCH),
        desc="path length",
        unit="batch",
        delay=2,
        disable=not progress,
    ):
        z = torch.cat([slerp(a[rows], b[rows], t[rows] + e) for e in (0.0, EPSILON)])
        features = extractor(decoder.decode(z.float()).detach()).detach().double().cpu()
        here, there = normalize(features, dim=1).chunk(2)
        steps.append((there - here).square().sum(1) / EPSILON**2)
    lengths = torch.cat(steps).numpy()
    if not np.isfinite(lengths).all():
        return Metric.missing("the extractor's features of the generated images are not finite")
    error = float(standard_errors(lambda _, f: np.array([_mean(lengths[f])]), n_pairs, n_pairs, seed=seed)[0])
    return Metric.around(_mean(lengths), error, minimum=0.0).with_details(n_pairs=n_pairs, epsilon=EPSILON)


def _mean(lengths: NDArray[np.float64]) -> float:
    """Return the mean without the shortest and the longest hundredth."""
    low, high = (
        np.quantile(lengths, TRIMMED, method="lower"),
        np.quantile(lengths, 1 - TRIMMED, method="higher"),
    )
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())
