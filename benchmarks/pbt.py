"""Population-based training of both learning rates (Jaderberg et al. 2017, arXiv 1711.09846): a rival.

Several GANs of one instance are trained side by side; between two rounds the worst takes over weights and
rates of the best, and turns the rates at random. The rule and its constants are those of Ray Tune's scheduler
`PopulationBasedTraining` with `synch=True`, and a test compares the two. Tune itself starts a process for
each member and round, which takes longer than a small GAN; here all are trained as one computation. What the
whole population was trained is charged to the one GAN that comes of it (`Episode.inner_steps_spent`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from agents.baselines.rule import rates as settings_of
from agents.environments import make_one
from agents.evaluation import Episode, Measure
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.instances import INSTANCES
from gan_gym.knobs import KNOBS

Rates = tuple[float, float]
"""Learning rates of G and D."""
NAMES = ("g_lr", "d_lr")
LOW, HIGH = INSTANCES["train"].lr[0]
"""What rates are drawn from, log-uniformly: the range of the training instances."""
N_ROUNDS = 10
"""Rounds of an episode, about."""
QUANTILE = 0.25
"""Share of the members, rounded up, that takes over from as many of the best."""
RESAMPLED = 0.25
"""Probability that a rate is drawn anew."""
FACTORS = (1.2, 0.8)
"""What it is multiplied by otherwise, one or the other."""
DIVERGED = -1.0
"""Score of a GAN that diverged; quality is never below 0."""


@dataclass(frozen=True)
class PBT:
    """A population of GANs that ends as one: the member of the highest quality at the end."""

    n_members: int = 4
    """GANs trained side by side."""
    shared: bool = False
    """Whether they share the updates of one run; else each is a full run."""

    def arguments(self, id: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the environment that each member is trained in."""
        if not self.shared:
            return dict(kwargs)
        steps = make_one(id, **kwargs).episode_steps // self.n_members
        return {**kwargs, "episode_steps": max(1, steps)}

    def starts(self, own: Rates, rng: np.random.Generator) -> list[Rates]:
        """Return the rates that members start with: the instance's own, and others drawn at random."""
        return [own, *((_drawn(rng), _drawn(rng)) for _ in range(self.n_members - 1))]

    def turn_over(
        self, scores: Sequence[float], rates: Sequence[Rates], rng: np.random.Generator
    ) -> dict[int, tuple[int, Rates]]:
        """Return which members take over from whom, and the rates they go on with."""
        order = np.argsort(scores, kind="stable").tolist()
        n = min(math.ceil(len(order) * QUANTILE), len(order) // 2)
        best = order[len(order) - n :]
        sources = {loser: best[int(rng.integers(n))] if n > 1 else best[0] for loser in order[:n]}
        return {loser: (source, explored(rates[source], rng)) for loser, source in sources.items()}


POPULATIONS = {"pbt": PBT(), "pbt_shared": PBT(shared=True)}
"""Populations by name; the second costs as much as one run."""


def explored(rates: Rates, rng: np.random.Generator) -> Rates:
    """Return rates near others, now and then one that has nothing to do with them."""
    g_lr, d_lr = (
        _drawn(rng) if rng.random() < RESAMPLED else rate * float(rng.choice(FACTORS)) for rate in rates
    )
    return g_lr, d_lr


def _drawn(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(LOW), np.log(HIGH))))


@dataclass
class _Member:
    """A GAN under way."""

    env: GANEnv
    info: dict[str, Any]
    """Of the last env step."""
    last: dict[str, Any]
    """Of the last model that did not diverge."""
    model: dict[str, Tensor]
    """That model."""
    rates: Rates

    @property
    def score(self) -> float:
        return DIVERGED if self.info["diverged"] else float(self.info["quality"])

    def set_rates(self, rates: Rates) -> None:
        """Put rates in force, within the limits of the knobs."""
        knobs = [KNOBS[name].scaled(self.env.knob_scale.get(name, 1.0)) for name in NAMES]
        g_lr, d_lr = (min(max(rate, k.low), k.high) for rate, k in zip(rates, knobs, strict=True))
        self.rates = g_lr, d_lr
        self.env.set_knobs(settings_of(*self.rates))

    def take_over(self, other: _Member, rates: Rates) -> None:
        """Go on from where another one is."""
        self.env.restore(other.env.snapshot())
        self.info, self.last, self.model = other.info, other.last, other.model
        self.set_rates(rates)


@dataclass
class _Population:
    """The members of one run, and what it has come to."""

    name: str
    seed: int
    pbt: PBT
    members: list[_Member]
    rng: np.random.Generator
    best: dict[str, Any]
    """Info of the best model of all members so far."""
    best_model: dict[str, Tensor]
    n_steps: int = 0
    """Env steps of all members."""

    @classmethod
    def start(cls, name: str, seed: int, pbt: PBT, envs: Sequence[GANEnv]) -> _Population:
        rng, members = np.random.default_rng([seed, pbt.n_members]), []
        for env in envs:
            _, info = env.reset(seed=seed)
            untrained = env.trainer.g_ema.copied()
            members.append(_Member(env, info, info, untrained, env.trainer.learning_rates))
        for member, rates in zip(members, pbt.starts(members[0].rates, rng), strict=True):
            member.set_rates(rates)
        first = members[0]
        return cls(name, seed, pbt, members, rng, first.info, first.model)

    def see(self, member: _Member, info: dict[str, Any]) -> None:
        """Take note of an env step."""
        self.n_steps += 1
        member.info = info
        if not info["diverged"]:
            member.last, member.model = info, member.env.trainer.g_ema.copied()
            if info["quality"] > self.best["quality"]:
                self.best, self.best_model = info, member.model

    def turn_over(self) -> None:
        """Let the worst take over from the best."""
        scores, rates = [m.score for m in self.members], [m.rates for m in self.members]
        for loser, (source, new) in self.pbt.turn_over(scores, rates, self.rng).items():
            self.members[loser].take_over(self.members[source], new)

    def row(self, id: str, measures: Mapping[str, Measure]) -> Episode:
        """Return the row of the member of the highest score."""
        chosen = max(self.members, key=lambda member: member.score)
        env = chosen.env
        measured: dict[str, float] = {}
        for prefix, model in (("", chosen.model), ("best_", self.best_model)):
            env.trainer.g_ema.load(model)
            measured |= {prefix + name: measure(env.trainer) for name, measure in measures.items()}
        return Episode.ended(
            self.name,
            id,
            self.seed,
            info=chosen.info,
            last=chosen.last,
            best=self.best,
            inner_steps=env.inner_steps,
            spent=self.n_steps * env.inner_steps,
            measured=measured,
        )


def play(
    vector: GANVectorEnv,
    id: str,
    runs: Sequence[tuple[str, PBT, int]],
    measures: Mapping[str, Measure],
) -> Iterator[Episode]:
    """Train a population for each run, all of them side by side.

    Args:
        vector: an environment for each member of each run.
        id: their id, for the rows.
        runs: name, population and seed of the reset; all populations are equal.
        measures: further figures of the last and the best model, by name.
    """
    envs, pbt = vector.envs, runs[0][1]
    for env in envs:
        env.problem_of(envs[0])
    populations = [
        _Population.start(name, seed, own, envs[i * own.n_members : (i + 1) * own.n_members])
        for i, (name, own, seed) in enumerate(runs)
    ]
    of = [(population, member) for population in populations for member in population.members]
    assert len(of) == len(envs), f"{len(envs)} environments for {len(of)} members of {pbt}"
    round_steps = max(1, envs[0].episode_steps // N_ROUNDS)
    keep = np.zeros(vector.action_space.shape or (), np.float32)
    for step in range(1, envs[0].episode_steps + 1):
        going = np.array([not member.info["end"] for _, member in of])
        if not going.any():
            break
        infos = vector.step_envs(keep, going)[-1]
        for (population, member), info, went in zip(of, infos, going, strict=True):
            if went:
                population.see(member, info)
        if step % round_steps == 0 and step < envs[0].episode_steps:
            for population in populations:
                population.turn_over()
    for population in populations:
        yield population.row(id, measures)
