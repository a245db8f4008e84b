"""All metrics of one set of generated images against one set of real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_gym.data.patches import PatchSet
from gan_gym.metrics.diversity import diversity
from gan_gym.metrics.downstream import DOWNSTREAM, downstream
from gan_gym.metrics.extractors import Extractor, FrozenExtractor, embed, load_extractor
from gan_gym.metrics.feature_cache import embed_real
from gan_gym.metrics.frechet import fid
from gan_gym.metrics.kid import kid
from gan_gym.metrics.memorisation import Memorisation, memorisation
from gan_gym.metrics.metric import Metric
from gan_gym.metrics.neighbours import density_coverage, precision_recall
from gan_gym.metrics.nuclei import NUCLEI, nuclei
from gan_gym.metrics.path_length import Decoder, path_length
from gan_gym.metrics.stain import STAIN, stain, why_not_stained

_PIXELS = (*STAIN, *NUCLEI)
"""Metrics of the pixels themselves; all others are of the extractor's features."""
METRICS = (
    "kid", "fid", "precision", "recall", "density", "coverage", "memorisation", "diversity", "path_length",
    *_PIXELS, *DOWNSTREAM,
)  # fmt: skip
"""Keys of every evaluation, in the order in which tables show them."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What the figures were computed from; no figure means anything without it."""

    n_real: int
    """Real images that the fakes were compared with."""
    n_fake: int
    """Generated images."""
    n_train: int
    """Training images that memorisation was judged by; 0 where none were given."""
    split: str
    """How the real images were kept from the GAN's training."""
    image_size: tuple[int, int]
    """Height and width of the images, px."""
    extractor: str
    """Name of the feature extractor."""
    sha256: str
    """Digest of the extractor's weights."""
    resize: str
    """How images are brought to the extractor's input size."""
    interval: str
    """What `low` and `high` are."""
    seed: int
    """Seed of the intervals' subsets and resamples."""


@dataclass(frozen=True)
class Evaluation:
    """The figures, what they were computed from, and the pairs behind the memorisation figure."""

    metrics: Mapping[str, Metric]
    """One entry for each of `METRICS`."""
    settings: EvaluationSettings
    """Sizes, split, extractor, resize and seed."""
    memorisation: Memorisation | None
    """Nearest training images of the fakes; `None` without training images or without usable features."""

    def to_json(self) -> dict[str, dict[str, object]]:
        """Return `{metric: {"value": ..., "low": ..., "high": ..., "n_real": ..., ...}}`, settings too."""
        return {key: {**metric.to_json(), **asdict(self.settings)} for key, metric in self.metrics.items()}


def evaluate(
    real: Tensor | PatchSet,
    fake: Tensor | PatchSet,
    *,
    train: Tensor | None = None,
    decoder: Decoder | None = None,
    extractor: Extractor | None = None,
    split: str = "not recorded",
    cache: Path | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Compare generated with real images through a frozen network that no reward has ever seen.

    The real images should be held out from the GAN's training (split by slide or patient). A metric that
    cannot be computed has no value but a reason; the others still come.

    Args:
        real: `(N, 3, H, W)` uint8, RGB, real images that the GAN was not trained on; or a `PatchSet` of them,
            whose labels and groups the downstream figures need.
        fake: `(M, 3, H, W)` uint8, RGB, generated images, or a `PatchSet` of them.
        train: the images the GAN was trained on, for memorisation; `None` leaves that figure out.
        decoder: the generator itself, for the path length; `None` leaves that figure out.
        extractor: feature extractor; `None` loads the default, see `load_extractor`.
        split: how the real images were kept from training, for the record.
        cache: folder where the features of real images are kept (see `feature_cache`); `None` keeps none.
        seed: seed of the intervals; the values do not depend on it, but for those of the path length (its
            latents) and of the downstream figures (their split).
        progress: show progress bars.

    Raises:
        ValueError: if a set of images is empty, has another shape than `(N, 3, H, W)`, or the sizes differ.
        TypeError: if images are not uint8.
    """
    reals, fakes = _patches(real), _patches(fake)
    for argument, images in (("real", reals.images), ("fake", fakes.images), ("train", train)):
        if images is not None:
            _check(argument, images, reals.images)
    extractor = extractor or load_extractor()
    settings = EvaluationSettings(
        n_real=len(reals),
        n_fake=len(fakes),
        n_train=0 if train is None else len(train),
        split=split,
        image_size=reals.image_size,
        extractor=extractor.name,
        sha256=extractor.sha256,
        resize=extractor.resize if isinstance(extractor, FrozenExtractor) else "left to the extractor",
        interval="95 %",
        seed=seed,
    )
    x = embed_real(extractor, reals.images, cache, progress=progress)
    y = embed(extractor, fakes.images, progress=progress, label="fake")
    t = None
    if train is not None:
        t = embed_real(extractor, train, cache, progress=progress, label="training images")
    metrics = _by_pixels(reals.images, fakes.images, seed)
    sides = (("real", x), ("fake", y), ("train", t))
    broken = " and ".join(name for name, f in sides if f is not None and not f.isfinite().all())
    memory = None
    if broken:
        reason = f"the extractor's features of the {broken} images are not finite: check the extractor"
        metrics |= {key: Metric.missing(reason) for key in METRICS if key not in _PIXELS}
    else:
        memory = None if t is None else memorisation(t, x, y, seed=seed)
        metrics |= {
            "kid": kid(x, y, seed=seed),
            "fid": fid(x, y),
            **precision_recall(x, y, seed=seed),
            **density_coverage(x, y, seed=seed),
            "memorisation": memory.below_5
            if memory is not None
            else Metric.missing(
                "no training images were given to compare with; for a run, evaluate it (--run) without --real"
            ),
            "diversity": diversity(x, y, seed=seed),
            "path_length": path_length(decoder, extractor, seed=seed, progress=progress)
            if decoder is not None
            else Metric.missing("needs the generator itself: evaluate the run (--run), not its patches"),
            **downstream(x, y, reals, fakes, seed=seed),
        }
    return Evaluation({key: metrics[key] for key in METRICS}, settings, memory)


def evaluate_images(
    real: Tensor | PatchSet,
    fake: Tensor | PatchSet,
    *,
    train: Tensor | None = None,
    extractor: Extractor | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Metric]:
    """Return only the figures of `evaluate`, one for each of `METRICS`; arguments and errors are the same."""
    result = evaluate(real, fake, train=train, extractor=extractor, seed=seed, progress=progress)
    return dict(result.metrics)


def _patches(images: Tensor | PatchSet) -> PatchSet:
    """Return images as patches, of one class and of a group each where nothing is known."""
    if isinstance(images, PatchSet):
        return images
    return PatchSet.unlabelled(images)


def _by_pixels(real: Tensor, fake: Tensor, seed: int) -> dict[str, Metric]:
    """Return the stain and nuclei figures, or the reason why there are none."""
    for side, images in (("real", real), ("generated", fake)):
        if (reason := why_not_stained(images, side)) is not None:
            return {key: Metric.missing(reason) for key in _PIXELS}
    return {**stain(real, fake, seed=seed), **nuclei(real, fake, seed=seed)}


def _check(argument: str, images: Tensor, real: Tensor) -> None:
    """Refuse what is no set of uint8 RGB images of the real images' size."""
    if images.dtype != torch.uint8:
        raise TypeError(f"{argument} has dtype {images.dtype}; images must be uint8 in 0..255")
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(
            f"{argument} has shape {tuple(images.shape)}; it must be (N, 3, H, W), RGB, with N at least 1"
        )
    if images.shape[2:] != real.shape[2:]:
        theirs, ours = ("x".join(map(str, s.shape[2:])) for s in (images, real))
        raise ValueError(
            f"{argument} images are {theirs} px but real images are {ours} px: resolution alone shifts every "
            "figure; resize the real images as the GAN's training did"
        )
