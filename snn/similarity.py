"""How much a set of fake feature vectors is like a set of real ones: graded, calibrated statistics.

All of them are functions of two distance matrices (fake–real, fake–fake) and work on embeddings and on plain
2-D points alike. Everything that depends on the real side alone is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from snn.distances import measure, squared_distances

_TOE = 0.05
"""What unrelated noise scores exactly, so that a generator worse than noise still has room to improve."""
_COLLAPSED = 0.5
"""Diversity below which the kernel closeness counts less and less: under wide kernels one typical point,
repeated, lies closer to the real data than the varied samples of a mediocre generator do."""
_N_KERNELS = 3
_N_DRAWS = 8

_Value = TypeVar("_Value", float, Tensor)


@dataclass(frozen=True)
class Similarity:
    """Scores of one set of fakes; about 0 = unrelated noise, 1 = held-out real data."""

    fidelity: float
    """Fake → real: how close each fake lies to its nearest real neighbour, in [0, 1]."""
    coverage: float
    """Real → fake: how much of the real data has a fake nearby, in [0, 1]."""
    diversity: float
    """Mean distance among fakes over mean distance among real data, in [0, 2]; 0 = all fakes equal."""
    kernel: float
    """Closeness of the distributions by an unbiased kernel distance, so how mass is spread counts; [0, 1]."""
    quality: float
    """The one number: (F1 of fidelity and coverage + kernel) / 2, in [0, 1]; the kernel's half shrinks where
    diversity is less than half of the real data's."""


NOTHING = Similarity(0.0, 0.0, 0.0, 0.0, 0.0)
"""The score of fakes that are not finite."""


class ReferenceStatistics:
    """The real side of the comparison, embedded and measured once.

    With `d_ij` the distance of fake i to reference j, `s` the median distance of a held-out real point to its
    nearest reference, and `c` the median distance of a reference to the nearest of `n_fakes` held-out real
    points:

    - fidelity: minus the mean over i of `log(1 + (min_j d_ij / s)²)`, which is graded from far away to very
      near;
    - coverage: the mean over j of `1 / (1 + (min_i d_ij / c)²)`, a soft form of the share of reals with a
      fake nearby (Naeem et al. 2020, https://arxiv.org/abs/2002.09797), so that each mode counts by its
      share;
    - kernel: the mean over Gaussian kernels k, from neighbour distance to the median distance, of
      `1 - MMD²_u / (E k(x, x') + E k(y, y')) = 2 E k(x, y) / (E k(x, x') + E k(y, y'))`, with unbiased
      estimates (Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html); the denominator is MMD²
      without any overlap.

    Fidelity and kernel are then mapped by a line that takes unrelated noise to 0.05 and held-out real data to
    1, cut above; what is worse than noise falls slowly from 0.05 towards 0, so that progress is seen from
    anywhere. Coverage is mapped by a line from 0 (the one real point that, repeated, covers most) to 1.
    The map is fixed here, from draws of `n_fakes` points.

    Args:
        real_features: `(R, D)` float, the references.
        noise_features: `(M, D)`, features of unrelated noise, the zero of the scale.
        held_out_features: `(H, D)`, real data that are not among the references, the one of the scale; `None`
            sets every third reference aside for it.
        n_fakes: how many fakes are scored at a time; sets of this size calibrate the scale.
        seed: seed of the draws of the calibration.

    Example:
        >>> x = torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
        >>> reference = ReferenceStatistics(x[:400], noise_features=x + 9, held_out_features=x[400:])
        >>> reference.score(x[400:528]).quality > 0.9
        True
    """

    def __init__(
        self,
        real_features: Tensor,
        *,
        noise_features: Tensor,
        held_out_features: Tensor | None = None,
        n_fakes: int = 128,
        seed: int = 0,
    ) -> None:
        real = _checked("real_features", real_features, 4)
        noise = _checked("noise_features", noise_features, 2, real)
        if held_out_features is None:
            aside = torch.arange(len(real), device=real.device) % 3 == 2
            held_out, real = real[aside], real[~aside]
        else:
            held_out = _checked("held_out_features", held_out_features, 2, real)
        if n_fakes < 2:
            raise ValueError(
                f"n_fakes={n_fakes}: at least 2 fakes are needed, to compare fakes with each other"
            )
        self.real = real.contiguous()
        generator = torch.Generator().manual_seed(seed)
        held_draws = [_draw(held_out, n_fakes, generator) for _ in range(_N_DRAWS)]
        noise_draws = [_draw(noise, n_fakes, generator) for _ in range(_N_DRAWS)]

        across = squared_distances(held_out, real)
        nearest_held = torch.cat([squared_distances(draw, real).amin(dim=0) for draw in held_draws])
        among_real = squared_distances(real, real).sqrt()
        self._mean_real = float(among_real.sum() / (len(real) * (len(real) - 1)))
        tiny = 1e-6 * max(self._mean_real, 1e-6)
        self.fidelity_scale = max(float(across.amin(dim=1).median().sqrt()), tiny)
        self.coverage_scale = max(float(nearest_held.median().sqrt()), tiny)
        wide = max(float(among_real.median()), tiny)
        narrow = min(2 * self.coverage_scale, wide)
        self.kernel_widths = [narrow * (wide / narrow) ** (k / (_N_KERNELS - 1)) for k in range(_N_KERNELS)]
        self._kernels_real: list[float] = (
            measure(real[None], real, self.kernel_widths).kernels_among[0].tolist()
        )

        held_raw, noise_raw = (self.raw(torch.stack(draws)) for draws in (held_draws, noise_draws))
        self._zero = torch.tensor(noise_raw, dtype=torch.float64).mean(dim=0)[:3].tolist()
        self._zero[2] = float(self._coverage(across).max())
        ones = torch.tensor(held_raw, dtype=torch.float64).mean(dim=0)[:3].tolist()
        self._span = [max(one - zero, 1e-6) for one, zero in zip(ones, self._zero, strict=True)]

    def score(self, fake_features: Tensor) -> Similarity:
        """Score fakes `(N, D)`; fakes that are not finite score nothing.

        Raises:
            ValueError: if there are fewer than 2 fakes or their dimensions differ from the references'.
        """
        return self.score_many(_shaped("fake_features", fake_features, 2, self.real)[None])[0]

    @torch.no_grad()
    def score_many(self, fake_features: Tensor) -> list[Similarity]:
        """Score n sets of fakes `(n, N, D)`, each for itself, together.

        Raises:
            ValueError: if a set has fewer than 2 fakes or their dimensions differ from the references'.
        """
        return [
            self._calibrated(*raw) if all(map(math.isfinite, raw)) else NOTHING
            for raw in self.raw(_shaped("fake_features", fake_features, 2, self.real, n_dims=3))
        ]

    def _calibrated(self, *raw: float) -> Similarity:
        fidelity, kernel, coverage = (
            (value - zero) / span for value, zero, span in zip(raw, self._zero, self._span, strict=False)
        )
        return _joined(
            _calibrate(min(fidelity, 1.0)),
            min(max(coverage, 0.0), 1.0),
            min(raw[3], 2.0),
            _calibrate(min(kernel, 1.0)),
        )

    @torch.no_grad()
    def closeness(self, fake_features: Tensor) -> Tensor:
        """Return the calibrated fidelity `(N,)` in [0, 1] of each fake alone; 0 where it is not finite."""
        fake = _shaped("fake_features", fake_features, 1, self.real)
        raw = self._fidelity(squared_distances(fake, self.real).amin(dim=1))
        linear = ((raw - self._zero[0]) / self._span[0]).clamp_max(1)
        return torch.nan_to_num(_calibrate(linear), nan=0.0)

    def to(self, device: torch.device | str) -> ReferenceStatistics:
        """Move the references to `device`; returns itself."""
        self.real = self.real.to(device)
        return self

    @torch.no_grad()
    def raw(self, fakes: Tensor) -> list[tuple[float, float, float, float]]:
        """Return fidelity, kernel, coverage and diversity, uncalibrated, of n sets of fakes `(n, N, D)`."""
        measured = measure(fakes, self.real, self.kernel_widths)
        fidelity = self._fidelity(measured.nearest_real).mean(dim=1)
        coverage = self._coverage(measured.nearest_fake)
        columns = (fidelity, coverage, measured.spread, *measured.kernels_across.unbind(1))
        rows = torch.stack([*columns, *measured.kernels_among.unbind(1)], dim=1).tolist()  # one host read
        return [
            (fidelity, self._kernel(kernels), coverage, spread / max(self._mean_real, 1e-12))
            for fidelity, coverage, spread, *kernels in rows
        ]

    def _kernel(self, means: list[float]) -> float:
        across, among = means[:_N_KERNELS], means[_N_KERNELS:]
        terms = zip(across, among, self._kernels_real, strict=True)
        overlaps = [2 * fake_real / max(fake + real, 1e-12) for fake_real, fake, real in terms]
        return sum(overlaps) / _N_KERNELS

    def _fidelity(self, squared: Tensor) -> Tensor:
        return -torch.log1p(squared / self.fidelity_scale**2)

    def _coverage(self, squared: Tensor) -> Tensor:
        """Return the coverage `(n,)` of references whose nearest fakes lie at squared distances `(n, R)`."""
        return (1 / (1 + squared / self.coverage_scale**2)).mean(dim=1)


def as_row(similarity: Similarity) -> dict[str, float]:
    """Return the scores by name."""
    return dict(vars(similarity))


def weakest(scores: Sequence[Similarity]) -> Similarity:
    """Return the lowest of each score, and the quality that follows from them.

    What a network is led to see in fakes that were made for it, the other view must see too
    (`python -m benchmarks.goodhart`).
    """
    lowest = [
        min(getattr(score, name) for score in scores)
        for name in ("fidelity", "coverage", "diversity", "kernel")
    ]
    return _joined(*lowest)


def _joined(fidelity: float, coverage: float, diversity: float, kernel: float) -> Similarity:
    f1 = 2 * fidelity * coverage / max(fidelity + coverage, 1e-12)
    varied = _TOE + (1 - _TOE) * min(1.0, diversity / _COLLAPSED)
    return Similarity(fidelity, coverage, diversity, kernel, (f1 + varied * kernel) / 2)


def _calibrate(linear: _Value) -> _Value:
    """Map 0 (noise) to the toe and 1 (held-out) to 1 by a line; fall slowly below 0."""
    above, below = (abs(linear) + linear) / 2, (abs(linear) - linear) / 2
    return _TOE / (1 + below * ((1 - _TOE) / _TOE)) + (1 - _TOE) * above


def _draw(features: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw `n` different rows, or all of them if there are fewer."""
    return features[torch.randperm(len(features), generator=generator)[:n].to(features.device)]


def _shaped(
    name: str, features: Tensor, least: int, like: Tensor | None = None, *, n_dims: int = 2
) -> Tensor:
    if (
        features.ndim != n_dims
        or features.shape[-2] < least
        or (like is not None and features.shape[-1] != like.shape[1])
    ):
        wanted = f"{'(N' if n_dims == 2 else '(n, N'}, {'D' if like is None else like.shape[1]})"
        raise ValueError(f"{name} has shape {tuple(features.shape)}; {wanted} with N >= {least} is needed")
    return features.detach().float()


def _checked(name: str, features: Tensor, least: int, like: Tensor | None = None) -> Tensor:
    features = _shaped(name, features, least, like)
    if not bool(torch.isfinite(features).all()):
        raise ValueError(
            f"{name} holds values that are not finite; check the images and the network they come from"
        )
    return features
