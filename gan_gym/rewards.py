"""From generated samples to a reward: the only door to the Siamese reward model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from gan_gym.data.fingerprint import fingerprint
from gan_gym.data.mixtures import MixtureSampler
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import to_float
from gan_gym.gan import Statistics
from gan_gym.randomness import generator, stream_seed
from snn.siamese import SiameseNet
from snn.similarity import NOTHING, ReferenceStatistics, Similarity, as_row, weakest
from snn.spectrum import Spectrum
from snn.storage import DESCRIPTION, WEIGHTS, model_folder

N_REFERENCES = 512
"""Real samples that generated ones are compared with."""
DIVERGENCE_PENALTY = 1.0
"""Subtracted from the reward when a run diverges; the best possible return is below 1."""
_EMBEDDED_AT_A_TIME = 1024
"""Images a network embeds at a time, to bound its memory; a sixteenth on CPUs, whose caches hold no more."""

__all__ = [
    "NOTHING",
    "REWARDS",
    "Scorer",
    "Similarity",
    "View",
    "as_row",
    "load_reward_model",
    "point_noise",
    "point_scorer",
    "siamese_scorer",
    "vector_scorer",
]


@dataclass(frozen=True)
class View:
    """A space in which generated samples are compared with real ones, whose features are computed once."""

    features: Callable[[Tensor], Tensor]
    """Maps `(N, *shape)` samples to `(N, D)` features."""
    reference: ReferenceStatistics
    """The real side."""


class Scorer:
    """Scores generated samples against real ones.

    Args:
        view: the reward model's.
        device: where features are computed.
        guard: a second view, by what was not fitted: each score is the lower one of both, so that samples
            which only the reward model is led to like gain nothing.
    """

    def __init__(self, view: View, device: torch.device, guard: View | None = None) -> None:
        self.views = (view,) if guard is None else (view, guard)
        self._device = device
        for each in self.views:
            each.reference.to(device)

    def score(self, samples: Tensor) -> Similarity:
        """Return how similar generated `(N, *shape)` samples are to real ones; 0 if they are not finite."""
        return self.score_many(samples[None])[0]

    @torch.no_grad()
    def score_many(self, samples: Tensor) -> list[Similarity]:
        """Return how similar each of n sets of generated samples `(n, N, *shape)` is to real ones."""
        flat = samples.to(self._device).flatten(0, 1)
        seen = [
            view.reference.score_many(view.features(flat).view(*samples.shape[:2], -1)) for view in self.views
        ]
        return [weakest(scores) for scores in zip(*seen, strict=True)]

    @torch.no_grad()
    def similarity(self, samples: Tensor) -> Tensor:
        """Return the reward model's similarity of each sample to its nearest real one, `(N,)` in [0, 1]."""
        view = self.views[0]
        return view.reference.closeness(view.features(samples.to(self._device)))


def point_scorer(source: MixtureSampler, n_fakes: int, device: torch.device) -> Scorer:
    """Compare points in the plane itself; noise is uniform over a square twice as wide as the data."""
    real = source.batch(N_REFERENCES, generator(0, "references"))
    held_out = source.batch(N_REFERENCES, generator(0, "held_out"))
    return vector_scorer(real, held_out, point_noise(real), n_fakes, device)


def point_noise(real: Tensor) -> Tensor:
    """Return unrelated noise for real points `(N, D)`: uniform over a cube twice as wide as they are."""
    noise = torch.rand(N_REFERENCES, real.shape[1], generator=generator(0, "noise")).to(real.device)
    return (noise * 2 - 1) * 2 * float(real.abs().max())


def vector_scorer(
    real: Tensor, held_out: Tensor, noise: Tensor, n_fakes: int, device: torch.device
) -> Scorer:
    """Compare vectors `(N, D)` as they are: points, or features of samples of any kind."""
    reference = ReferenceStatistics(real, noise_features=noise, held_out_features=held_out, n_fakes=n_fakes)
    return Scorer(View(lambda vectors: vectors, reference), device)


def load_reward_model(folder: str | Path | None, device: torch.device) -> SiameseNet:
    """Load a fitted MFT-SNN from a folder, or one that ships: `"tissue"` (the default) or `"digits"`.

    It is loaded once, and again where it was fitted again.

    Raises:
        ValueError: if the folder holds no intact model.
    """
    where = model_folder(folder)
    return _load_reward_model(where, fingerprint(where, (DESCRIPTION, WEIGHTS)), device)


@lru_cache(maxsize=4)
def _load_reward_model(folder: Path, seen: str, device: torch.device) -> SiameseNet:
    return SiameseNet.load(folder).to(device).eval()


def siamese_scorer(model: nn.Module, patches: PatchSet, n_fakes: int, device: torch.device) -> Scorer:
    """Compare patches in the embedding of a Siamese network, guarded by their spectra and colours.

    Half of the patches, at most `N_REFERENCES` drawn by a fixed seed, are the references; as many others
    calibrate the scale. Noise is uncorrelated pixels.
    """
    drawn = _order(patches)[: 2 * N_REFERENCES].sort().values
    guard = Spectrum(to_float(patches.images[drawn])).to(device)
    return Scorer(
        _image_view(model, patches, n_fakes, device), device, _image_view(guard, patches, n_fakes, device)
    )


def _order(patches: PatchSet) -> Tensor:
    """Return the fixed order in which patches become references: a folder's own goes class by class."""
    return torch.randperm(len(patches), generator=generator(0, "references"))


def _image_view(network: nn.Module, patches: PatchSet, n_fakes: int, device: torch.device) -> View:
    order = _order(patches)
    n = min(N_REFERENCES, len(patches) // 2)
    noise = torch.rand(128, 3, *patches.image_size, generator=generator(0, "noise")) * 2 - 1
    at_a_time = _EMBEDDED_AT_A_TIME if device.type != "cpu" else _EMBEDDED_AT_A_TIME // 16

    def embed(images: Tensor) -> Tensor:
        return torch.cat([network(part.to(device)) for part in torch.split(images, at_a_time)])

    with torch.no_grad():
        reference = ReferenceStatistics(
            embed(to_float(patches.images[order[:n]])),
            noise_features=embed(noise),
            held_out_features=embed(to_float(patches.images[order[n : 2 * n]])),
            n_fakes=n_fakes,
            seed=stream_seed(0, "calibration"),
        )
    return View(embed, reference)


def _improvement(before: Similarity, after: Similarity, statistics: Statistics) -> dict[str, float]:
    """Return the improvement of quality (Ng et al. 1999: potential-based, so the return telescopes)."""
    return {"quality": after.quality - before.quality}


def _loss_gap(before: Similarity, after: Similarity, statistics: Statistics) -> dict[str, float]:
    """Return -|G loss - D loss|, the reward of FSCO (arXiv 2504.15099)."""
    return {"loss_gap": -abs(statistics.g_loss - statistics.d_loss)}


REWARDS: dict[str, Callable[[Similarity, Similarity, Statistics], dict[str, float]]] = {
    "quality": _improvement,
    "loss_gap": _loss_gap,
}
"""Reward terms by name; `divergence` is added to each by the environment."""
