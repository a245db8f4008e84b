"""All metrics of one set of generated images against one set of real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from gan_gym.metrics.extractors import Extractor, FrozenExtractor, embed, load_extractor
from gan_gym.metrics.frechet import fid
from gan_gym.metrics.kid import kid
from gan_gym.metrics.memorisation import Memorisation, memorisation
from gan_gym.metrics.metric import Metric
from gan_gym.metrics.neighbours import density_coverage, precision_recall

METRICS = ("kid", "fid", "precision", "recall", "density", "coverage", "memorisation")
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
    image_size: tuple[int, int]
    """Height and width of the images, px."""
    extractor: str
    """Name of the feature extractor."""
    sha256: str
    """Digest of the extractor's weights."""
    resize: str
    """How images are brought to the extractor's input size."""
    seed: int
    """Seed of the intervals' subsets and resamples."""


@dataclass(frozen=True)
class Evaluation:
    """The figures, what they were computed from, and the pairs behind the memorisation figure."""

    metrics: Mapping[str, Metric]
    """One entry for each of `METRICS`."""
    settings: EvaluationSettings
    """Sizes, extractor, resize and seed."""
    memorisation: Memorisation | None
    """Nearest training images of the fakes; `None` without training images or without usable features."""

    def to_json(self) -> dict[str, dict[str, object]]:
        """Return `{metric: {"value": ..., "low": ..., "high": ..., "n_real": ..., ...}}`, settings too."""
        return {key: {**metric.to_json(), **asdict(self.settings)} for key, metric in self.metrics.items()}


def evaluate(
    real: Tensor,
    fake: Tensor,
    *,
    train: Tensor | None = None,
    extractor: Extractor | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Compare generated with real images through a frozen network that no reward has ever seen.

    The real images should be held out from the GAN's training (split by slide or patient). A metric that
    cannot be computed has no value but a reason; the others still come.

    Args:
        real: `(N, 3, H, W)` uint8, RGB, real images that the GAN was not trained on.
        fake: `(M, 3, H, W)` uint8, RGB, generated images.
        train: the images the GAN was trained on, for memorisation; `None` leaves that figure out.
        extractor: feature extractor; `None` loads the default, see `load_extractor`.
        seed: seed of the intervals; the values do not depend on it.
        progress: show progress bars.

    Raises:
        ValueError: if a set of images is empty, has another shape than `(N, 3, H, W)`, or the sizes differ.
        TypeError: if images are not uint8.
    """
    for argument, images in (("real", real), ("fake", fake), ("train", train)):
        if images is not None:
            _check(argument, images, real)
    extractor = extractor or load_extractor()
    settings = EvaluationSettings(
        n_real=len(real),
        n_fake=len(fake),
        n_train=0 if train is None else len(train),
        image_size=(real.shape[2], real.shape[3]),
        extractor=extractor.name,
        sha256=extractor.sha256,
        resize=extractor.resize if isinstance(extractor, FrozenExtractor) else "left to the extractor",
        seed=seed,
    )
    x, y = (embed(extractor, s, progress=progress, label=n) for s, n in ((real, "real"), (fake, "fake")))
    t = None if train is None else embed(extractor, train, progress=progress, label="training images")
    broken = [
        n for n, f in (("real", x), ("fake", y), ("train", t)) if f is not None and not f.isfinite().all()
    ]
    if broken:
        sides = " and ".join(broken)
        reason = f"the extractor's features of the {sides} images are not finite: check the extractor"
        return Evaluation({key: Metric.missing(reason) for key in METRICS}, settings, None)
    memory = None if t is None else memorisation(t, x, y, seed=seed)
    metrics: dict[str, Metric] = {
        "kid": kid(x, y, seed=seed),
        "fid": fid(x, y),
        **precision_recall(x, y, seed=seed),
        **density_coverage(x, y, seed=seed),
        "memorisation": memory.below_5
        if memory is not None
        else Metric.missing("no training images were given to compare with"),
    }
    return Evaluation(metrics, settings, memory)


def evaluate_images(
    real: Tensor,
    fake: Tensor,
    *,
    train: Tensor | None = None,
    extractor: Extractor | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Metric]:
    """Return only the figures of `evaluate`, one for each of `METRICS`; arguments and errors are the same."""
    result = evaluate(real, fake, train=train, extractor=extractor, seed=seed, progress=progress)
    return dict(result.metrics)


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
