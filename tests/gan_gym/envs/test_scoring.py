from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch

from gan_gym.envs.scoring import score_gans, score_together
from gan_gym.rewards import NOTHING

Make = Callable[..., Any]
N = 4


@pytest.fixture
def envs(env_id: str, make: Make) -> list[Any]:
    """Return environments whose GANs were trained a little."""
    envs = [make(env_id, inner_steps=2) for _ in range(N if "Grid" in env_id or "Ring" in env_id else 2)]
    for seed, env in enumerate(envs):
        env.problem_of(envs[0])
        env.reset(seed=seed)
        env.trainer.train(2)
    return envs


def _scores(envs: list[Any]) -> list[Any]:
    return score_gans(envs[0].problem, [env.trainer for env in envs], [env.latents for env in envs])


def test_gans_scored_together_score_as_alone(envs: list[Any]) -> None:
    alone = [env.score() for env in envs]
    assert len({score.similarity.fidelity for score in alone}) == len(envs)
    for one, other in ((_scores(envs), alone), (_scores(envs[::-1]), alone[::-1])):
        assert [score.modes for score in one] == [score.modes for score in other]
        for together, single in zip(one, other, strict=True):
            assert asdict(together.similarity) == pytest.approx(asdict(single.similarity), abs=1e-4)
            assert not together.diverged


def test_a_gan_that_diverged_scores_nothing_whatever_it_makes(envs: list[Any]) -> None:
    intact = [env.score() for env in envs]
    trainer = envs[1].trainer
    trainer.g.vector.data.fill_(torch.nan)
    trainer.train(1)
    trainer.g_ema.vector.data.fill_(0.1)
    scores = _scores(envs)
    assert scores[1].diverged
    assert scores[1].similarity == NOTHING
    assert scores[1].modes == ((0, 0, 0.0) if envs[0].problem.count_modes else (-1, -1, -1.0))
    for i in set(range(len(envs))) - {1}:
        assert scores[i].modes == intact[i].modes
        assert asdict(scores[i].similarity) == pytest.approx(asdict(intact[i].similarity), abs=1e-4)


def test_samples_that_are_not_finite_score_nothing_alone(make: Make) -> None:
    env = make("GridGAN-v0")
    problem = env.problem
    rng = torch.Generator().manual_seed(0)
    samples = torch.stack([problem.source.batch(problem.n_counted, rng) for _ in range(3)])
    intact = score_together(problem, samples)
    samples[1] = torch.inf
    broken = score_together(problem, samples)
    assert broken[1].similarity == NOTHING
    assert broken[1].modes == (0, 0, 0.0)
    assert broken[::2] == intact[::2]
