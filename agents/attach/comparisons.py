"""How samples of a user's own kind are compared: points, images, and whatever they have an embedding for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import to_uint8
from gan_gym.envs.histogan import N_SCORED as N_IMAGES
from gan_gym.envs.points import N_SCORED as N_POINTS
from gan_gym.randomness import generator
from gan_gym.rewards import Scorer, load_reward_model, point_noise, siamese_scorer, vector_scorer

MIN_SIDE, MAX_SIDE = 8, 128
"""Images are compared at a size within these, in pixels: the Siamese network sees nothing below the first,
and the second bounds time and memory."""

Range = tuple[float, float]
Embed = Callable[[Tensor], Tensor]


class Comparison(Protocol):
    """How samples of one kind are compared."""

    n_fakes: int
    """Generated samples that are scored at a decision."""

    def prepared(self, samples: Tensor) -> Tensor:
        """Return what is kept of generated samples."""
        ...

    def reference(self, samples: Tensor) -> Tensor:
        """Return what is kept of real samples."""
        ...

    def scorer(self, references: Tensor, n_fakes: int) -> Scorer:
        """Return what scores `n_fakes` prepared fakes against references."""
        ...


class Points:
    """Points in the plane, compared there."""

    n_fakes = N_POINTS

    def prepared(self, samples: Tensor) -> Tensor:
        """Return a copy."""
        return samples.detach().float().clone()

    reference = prepared

    def scorer(self, references: Tensor, n_fakes: int) -> Scorer:
        """Return a scorer whose scale is calibrated by half of the points."""
        real, held_out = references.chunk(2)
        return vector_scorer(real, held_out, point_noise(real), n_fakes, real.device)


class Images:
    """Images, compared in the embedding of the MFT-SNN that ships, guarded by spectra and colours.

    Args:
        value_range: lowest and highest value of a pixel.
    """

    n_fakes = N_IMAGES

    def __init__(self, value_range: Range) -> None:
        self._low, self._high = value_range

    def prepared(self, samples: Tensor) -> Tensor:
        """Return RGB images in [-1, 1] of `MIN_SIDE` to `MAX_SIDE` pixels."""
        x = (samples.detach().float() - self._low) * (2 / (self._high - self._low)) - 1
        sides = x.shape[2:]
        scale = min(1.0, MAX_SIDE / max(sides)) * max(1.0, MIN_SIDE / min(sides))
        if scale != 1:
            size = [max(MIN_SIDE, round(side * scale)) for side in sides]
            x = interpolate(x, size, mode="bilinear", antialias=True)
        return x.expand(-1, 3, -1, -1)

    def reference(self, samples: Tensor) -> Tensor:
        """Return them as uint8."""
        return to_uint8(self.prepared(samples))

    def scorer(self, references: Tensor, n_fakes: int) -> Scorer:
        """Return the scorer that the environments have on patches."""
        device = references.device
        patches = PatchSet.unlabelled(references)
        return siamese_scorer(load_reward_model(None, device), patches, n_fakes, device)


class Embedded:
    """Samples of any kind, compared in an embedding of the user's.

    Args:
        embed: maps a batch to `(N, D)` features.
    """

    n_fakes = N_IMAGES

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self.noise: Tensor | None = None
        """`(N, D)` features of noise, the zero of the scale."""

    @torch.no_grad()
    def prepared(self, samples: Tensor) -> Tensor:
        """Return their features.

        Raises:
            ValueError: if the embedding returns none.
        """
        features = self._embed(samples.detach())
        if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(samples):
            got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"embed returned {got} for {len(samples)} samples; return ({len(samples)}, D)")
        return features.detach().float().clone()

    def reference(self, samples: Tensor) -> Tensor:
        """Return their features; noise as wide as the first batch is embedded beside it."""
        if self.noise is None:
            noise = torch.rand(samples.shape, generator=generator(0, "noise")).to(samples)
            self.noise = self.prepared(noise * (samples.max() - samples.min()) + samples.min())
        return self.prepared(samples)

    def scorer(self, references: Tensor, n_fakes: int) -> Scorer:
        """Return a scorer whose scale is calibrated by half of the features."""
        assert self.noise is not None
        real, held_out = references.chunk(2)
        return vector_scorer(real, held_out, self.noise, n_fakes, real.device)


def comparison_of(shape: tuple[int, ...], embed: Embed | None, value_range: Range) -> Comparison:
    """Return how samples of this shape are compared.

    Raises:
        ValueError: if they are neither points nor images, and there is no `embed`.
    """
    if embed is not None:
        return Embedded(embed)
    if shape == (2,):
        return Points()
    if len(shape) == 3 and shape[0] in (1, 3):
        return Images(value_range)
    raise ValueError(
        f"real holds samples of shape {shape}; give points (N, 2), images (N, 3 or 1, H, W), or pass embed, "
        "which maps a batch to (N, D) features"
    )


def check_values(real: Tensor, comparison: Comparison, value_range: Range) -> None:
    """Check that a batch holds finite values, and images those of the range.

    Raises:
        ValueError: if it does not.
    """
    low, high = float(real.min()), float(real.max())
    if not low - low == high - high == 0:
        raise ValueError("real holds values that are not finite; check the data and what prepares them")
    if not isinstance(comparison, Images):
        return
    start, end = value_range
    slack = (end - start) / 4  # instance noise of the loop's own
    if not start - slack <= low <= high <= end + slack:
        raise ValueError(
            f"real holds values from {low:g} to {high:g}, outside value_range={value_range}; pass the range "
            "of your images, value_range=(lowest, highest)"
        )
    if low >= (start + end) / 2:
        warnings.warn(
            f"real holds values from {low:g} to {high:g}, the upper half of value_range={value_range}; if "
            f"your images reach from {low:g} to {high:g}, pass that",
            stacklevel=2,
        )
