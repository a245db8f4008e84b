"""Disturbance curves: real patches damaged more and more, so that a score must fall step by step.

The disturbance test of the FID paper (Heusel et al. 2017, https://arxiv.org/abs/1706.08500, figure 3), with
what goes wrong in GANs on tissue: lost detail, wrong colours, foreign tissue, and modes dropped or collapsed.
All levels of a disturbance share their random numbers, so that only the level differs between them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr
from torch import Generator, Tensor
from torchvision.transforms.functional import gaussian_blur

from gan_gym.data.sampler import to_float, to_uint8
from snn.augmentation import permute_blocks, scale_stains

Embed = Callable[[Tensor], Tensor]
"""Maps uint8 images `(N, 3, H, W)` to features `(N, D)`."""


@dataclass(frozen=True)
class ImageDisturbance:
    """Damage to every image."""

    levels: tuple[float, ...]
    """From none to severe."""
    damage: Callable[[Tensor, float, Generator], Tensor]
    """Maps uint8 images `(N, 3, H, W)` and a level above the first to damaged ones."""


@dataclass(frozen=True)
class SetDisturbance:
    """Damage to the composition of a set: every image stays a real one."""

    levels: tuple[float, ...]
    """From none to severe, the share of the set that is concerned."""
    choose: Callable[[Tensor, int, float, Generator], Tensor]
    """Maps labels `(N,)`, the number of foreign images that follow the `N` own ones, and a level to the index
    `(N,)` of the images that make up the damaged set."""
    needs_classes: bool = False
    """Whether there must be two classes."""
    needs_strangers: bool = False
    """Whether there must be foreign images."""


def blur(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    """Blur by a Gaussian of `sigma` pixels."""
    size = 2 * int(np.ceil(3 * sigma)) + 1
    size = min(size, 2 * (min(images.shape[2:]) // 2) - 1)
    return torch.as_tensor(gaussian_blur(images, [size, size], [sigma, sigma]))


def noise(images: Tensor, deviation: float, generator: Generator) -> Tensor:
    """Add Gaussian noise of this standard deviation, in units of 1/255."""
    noisy = images + deviation * torch.randn(images.shape, generator=generator)
    return noisy.round().clamp(0, 255).to(torch.uint8)


def jpeg(images: Tensor, loss: float, generator: Generator) -> Tensor:
    """Compress as JPEG of quality `100 - loss`."""
    compressed = torch.empty_like(images)
    for i, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=round(100 - loss))
        with Image.open(buffer) as read:
            compressed[i] = torch.from_numpy(np.asarray(read).copy()).permute(2, 0, 1)
    return compressed


def stain_shift(images: Tensor, strength: float, generator: Generator) -> Tensor:
    """Scale hematoxylin and eosin by `1 ± strength` in optical density, against each other."""
    sign = 1.0 if torch.rand((), generator=generator) < 0.5 else -1.0
    factors = torch.tensor([1 + sign * strength, 1 - sign * strength, 1.0]).expand(len(images), 3)
    shifted = 255 * scale_stains(images.float() / 255, factors)
    return shifted.round().clamp(0, 255).to(torch.uint8)


def shuffle(images: Tensor, share: float, generator: Generator) -> Tensor:
    """Let this share of the blocks of a 4 × 4 division change places at random."""
    n = len(images)
    moving = torch.rand(n, 16, generator=generator).argsort(dim=1)[:, : round(16 * share)]
    return permute_blocks(images, torch.arange(16).repeat(n, 1).scatter_(1, moving, moving.roll(1, dims=1)))


def foreign(labels: Tensor, n_foreign: int, share: float, generator: Generator) -> Tensor:
    """Replace this share of the images by foreign ones."""
    n = len(labels)
    replaced = torch.randperm(n, generator=generator)[: round(share * n)]
    index = torch.arange(n)
    index[replaced] = n + torch.randint(n_foreign, (n,), generator=generator)[: len(replaced)]
    return index


def drop(labels: Tensor, n_foreign: int, share: float, generator: Generator) -> Tensor:
    """Replace this share of all classes but one, class after class, by images of that one."""
    n = len(labels)
    jitter = torch.rand(n, generator=generator)
    classes = torch.unique(labels)
    rank = torch.rand(len(classes), generator=generator).argsort()
    place = rank[torch.searchsorted(classes, labels)]
    order = (place + jitter).argsort()  # images of the class that is dropped first come first
    last = int((place < len(classes) - 1).sum())
    dropped, kept = order[: round(share * last)], order[last:]
    index = torch.arange(n)
    index[dropped] = kept[torch.randint(len(kept), (n,), generator=generator)[: len(dropped)]]
    return index


def repeat(labels: Tensor, n_foreign: int, share: float, generator: Generator) -> Tensor:
    """Replace this share of the images by repeats of the others."""
    return _collapsed(torch.arange(len(labels)), len(labels), share, generator)


def collapse_in_class(labels: Tensor, n_foreign: int, share: float, generator: Generator) -> Tensor:
    """Replace this share of the images of the largest class by repeats of its others."""
    largest = int(torch.mode(labels).values)
    return _collapsed(torch.nonzero(labels == largest).flatten(), len(labels), share, generator)


def _collapsed(members: Tensor, n: int, share: float, generator: Generator) -> Tensor:
    """Let members be replaced by repeats of those that stay, at least one."""
    order = members[torch.randperm(len(members), generator=generator)]
    n_kept = max(1, round((1 - share) * len(members)))
    chosen = (torch.rand(n, generator=generator)[: len(members) - n_kept] * n_kept).long()
    index = torch.arange(n)
    index[order[n_kept:]] = order[chosen]
    return index


_SHARES = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)

DISTURBANCES: dict[str, ImageDisturbance | SetDisturbance] = {
    "blur": ImageDisturbance((0, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0), blur),
    "noise": ImageDisturbance((0, 4, 8, 12, 18, 26, 38, 54, 76), noise),
    "jpeg": ImageDisturbance((0, 10, 25, 40, 55, 70, 80, 88, 94), jpeg),
    "stain_shift": ImageDisturbance((0, 0.1, 0.15, 0.2, 0.27, 0.35, 0.45, 0.6, 0.8), stain_shift),
    "shuffle": ImageDisturbance(_SHARES, shuffle),
    "foreign_tissue": SetDisturbance(_SHARES, foreign, needs_strangers=True),
    "class_drop": SetDisturbance(_SHARES, drop, needs_classes=True),
    "repeats": SetDisturbance((0, 0.4, 0.6, 0.75, 0.85, 0.91, 0.95, 0.98, 1.0), repeat),
    "collapse_in_class": SetDisturbance(_SHARES, collapse_in_class),
}
"""By name: lost detail (blur, noise, JPEG), wrong colour, wrong layout, foreign tissue, mode drop, mode
collapse, and collapse within one class."""


def damage_views(views: Tensor, generator: Generator) -> Tensor:
    """Damage float images `(N, 3, H, W)` in [-1, 1] at the middle level, each in the next of the ways."""
    kinds = [
        disturbance for disturbance in DISTURBANCES.values() if isinstance(disturbance, ImageDisturbance)
    ]
    images = to_uint8(views)
    for number, kind in enumerate(kinds):
        own = torch.arange(len(images)) % len(kinds) == number
        if own.any():
            images[own] = kind.damage(images[own], kind.levels[len(kind.levels) // 2], generator)
    return to_float(images)


@dataclass(frozen=True)
class Curve:
    """The mean score at each level of one disturbance."""

    levels: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def spearman(self) -> float:
        """Rank correlation of score and level; -1 = falls at every level, 0 where the score never moves."""
        if len(set(self.scores)) == 1:
            return 0.0
        return float(spearmanr(self.levels, self.scores).statistic)


def disturbance_curves(
    score: Callable[[Tensor], float],
    embed: Embed,
    images: Tensor,
    labels: Tensor,
    strangers: Tensor | None,
    *,
    n_fakes: int = 128,
    n_draws: int = 8,
    seed: int = 0,
    names: Sequence[str] = tuple(DISTURBANCES),
) -> dict[str, Curve]:
    """Score undamaged and damaged sets of real images.

    Args:
        score: maps features `(n_fakes, D)` to the score.
        embed: gives the features.
        images: real patches that are not among the score's references, uint8 `(N, 3, H, W)`.
        labels: their classes, `(N,)`.
        strangers: patches of another tissue, uint8 `(M, 3, H, W)`; without them, none are mixed in.
        n_fakes: images a set.
        n_draws: sets a level is averaged over.
        seed: of the damage and the sets.
        names: which disturbances; those that need classes are left out where there is one class.
    """
    curves = {}
    draws = [
        torch.randperm(len(images), generator=torch.Generator().manual_seed(seed * 1000 + draw))[:n_fakes]
        for draw in range(n_draws)
    ]
    clean = embed(images)
    other = clean[:0] if strangers is None else embed(strangers)
    for name in names:
        disturbance = DISTURBANCES[name]
        if isinstance(disturbance, SetDisturbance):
            if disturbance.needs_classes and len(torch.unique(labels)) < 2:
                continue
            if disturbance.needs_strangers and strangers is None:
                continue
            sets = partial(_chosen, disturbance, clean, other, labels, draws, seed)
        else:
            sets = partial(_damaged, disturbance, embed, images, clean, draws, seed)
        scores = [
            float(np.mean([score(features) for features in sets(level)])) for level in disturbance.levels
        ]
        curves[name] = Curve(tuple(disturbance.levels), tuple(scores))
    return curves


def _damaged(
    disturbance: ImageDisturbance,
    embed: Embed,
    images: Tensor,
    clean: Tensor,
    draws: Sequence[Tensor],
    seed: int,
    level: float,
) -> list[Tensor]:
    """Return the features of each draw of images damaged at `level`; half of them by other random numbers."""
    if level == 0:
        return [clean[draw] for draw in draws]
    features = []
    for number, part in enumerate((draws[::2], draws[1::2])):
        generator = torch.Generator().manual_seed(seed * 1000 + 500 + number)
        damaged = embed(disturbance.damage(images, level, generator))
        features += [damaged[draw] for draw in part]
    return features


def _chosen(
    disturbance: SetDisturbance,
    clean: Tensor,
    other: Tensor,
    labels: Tensor,
    draws: Sequence[Tensor],
    seed: int,
    level: float,
) -> list[Tensor]:
    """Return the features of each draw of images, recomposed at `level`."""
    features = []
    for number, draw in enumerate(draws):
        generator = torch.Generator().manual_seed(seed * 1000 + 700 + number)
        pool = torch.cat([clean[draw], other])
        features.append(pool[disturbance.choose(labels[draw], len(other), level, generator)])
    return features
