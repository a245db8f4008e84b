"""Score what GANs generate: all members of a population at once, or a single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_gym.data.modes import NO_MODES, NOT_COUNTED, Modes
from gan_gym.envs.problem import Problem
from gan_gym.gan import GANTrainer
from gan_gym.gan.population import Population
from gan_gym.rewards import NOTHING, Similarity


@dataclass(frozen=True)
class Score:
    """What the generated samples of one GAN are worth."""

    similarity: Similarity
    """How like real data they are."""
    modes: Modes
    """Their modes; -1 if not countable."""
    diverged: bool = False
    """Whether the GAN diverged; its samples were not made then, and score nothing."""


def score_gans(
    problem: Problem,
    trainers: Sequence[GANTrainer],
    latents: Sequence[Tensor],
    population: Population | None = None,
) -> list[Score]:
    """Score GANs on the same problem by samples of their averaged generators.

    Args:
        problem: what they are trained on.
        trainers: the GANs.
        latents: `(N, z_dim)` for each of them.
        population: what just trained them, if it did so together; it samples them together too.
    """
    intact = [i for i, trainer in enumerate(trainers) if not trainer.statistics.diverged]
    scores = [Score(NOTHING, NO_MODES if problem.count_modes else NOT_COUNTED, diverged=True)] * len(trainers)
    if intact:
        samples = (
            samples_of([trainers[i] for i in intact], [latents[i] for i in intact])
            if population is None
            else population.sample(torch.stack(list(latents)))[intact]
        )
        for i, score in zip(intact, score_together(problem, samples), strict=True):
            scores[i] = score
    return scores


def samples_of(trainers: Sequence[GANTrainer], latents: Sequence[Tensor]) -> Tensor:
    """Return `(n, N, *shape)` samples of the averaged generators, from latents `(N, z_dim)` for each."""
    return torch.stack([trainer.sample(z) for trainer, z in zip(trainers, latents, strict=True)])


def score_together(problem: Problem, samples: Tensor) -> list[Score]:
    """Score n sets of generated samples, `(n, N, *shape)`, each for itself."""
    similarities = problem.scorer.score_many(samples[:, : problem.n_scored])
    modes = [NOT_COUNTED] * len(samples)
    if problem.count_modes is not None:
        modes = problem.count_modes(samples[:, : problem.n_counted])
    return [Score(*each) for each in zip(similarities, modes, strict=True)]
