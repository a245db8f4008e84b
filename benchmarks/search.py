"""Search settings by successive halving, then by evolution around what it found.

Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943) chooses what is on and how it falls: every
rung trains as many GANs as the one before, a third of the candidates on three times as many instances. CMA-ES
(Hansen 2016, arXiv 1604.00772) then moves all numbers of the best one.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.mixtures import Share
from agents.validation import FIRST_SEED
from benchmarks.comparison_rows import read_rows
from benchmarks.playing import Batch, Play, Row
from benchmarks.search_space import Candidate, Dimension, decode, draw, encode

N_RUNGS = 4
ETA = 3
N_CANDIDATES = 16
"""Candidates of a generation."""
N_INSTANCES = 8
"""Instances of each environment they meet, the same for all of a generation."""
SIGMA = 0.08
"""First standard deviation of the evolution, in positions."""
VALIDATED = range(FIRST_SEED, FIRST_SEED + 32)
"""Seeds of the validation instances, of each environment, that the best so far is tried on; not charged to
the search."""
N_VALIDATIONS = 6
"""Times that this is done in the evolution, beside once after each rung."""


@dataclass(frozen=True)
class Arena:
    """Environments of one family of networks that candidates are tried in, each counted once."""

    shares: Sequence[Share]
    """The environments with their arguments; how many there are of each does not matter."""
    n_envs: Sequence[int]
    """GANs under way at a time in each."""
    steps: Sequence[int]
    """Updates of a whole run in each."""
    play: Play
    """Trains GANs."""

    def batches(self, candidates: Sequence[Candidate], seeds: Sequence[int], instances: str) -> list[Batch]:
        """Return the runs of all candidates on all instances, named by candidate and environment."""
        made = []
        for which, (share, n) in enumerate(zip(self.shares, self.n_envs, strict=True)):
            runs = [(f"{i} {which}", each.agent, seed) for seed in seeds for i, each in enumerate(candidates)]
            kwargs = {**share.kwargs, "instances": instances}
            made += [Batch(share.id, kwargs, runs[i : i + n], n) for i in range(0, len(runs), n)]
        return made


@dataclass
class Search:
    """A search under way: it spends GANs, and remembers what it has seen.

    What the log holds already of the same search is read, not run again.
    """

    name: str
    """`tuned_constant` or `tuned_schedule`."""
    arena: Arena
    """Where candidates are tried."""
    space: Mapping[str, Dimension]
    """What is searched."""
    seed: int
    """Of candidates and instances."""
    log: Path
    """JSONL file with a row for each candidate of each stage, and for each validation."""
    done: Mapping[str, Row]
    """What the log holds already (`read_log`)."""
    bar: tqdm[Any]
    """Shows the GANs trained."""
    n_gans: int = 0
    """GANs trained so far, validations aside."""
    spent: int = 0
    """Updates of their generators."""
    n_seeds: int = 0
    """Training instances of each environment met so far."""
    validated: list[tuple[float, Candidate]] = field(default_factory=list)
    """Mean quality of each best so far on the validation instances."""

    @property
    def scheduled(self) -> bool:
        """Whether schedules are searched."""
        return self.name == "tuned_schedule"

    def run(self, budget: int) -> tuple[Candidate, float]:
        """Train `budget` GANs at most; return the best candidate and its quality on validation instances."""
        per_generation = N_CANDIDATES * N_INSTANCES * len(self.arena.shares)
        n_generations = budget // 2 // per_generation
        best = self.halve(budget - n_generations * per_generation)
        if n_generations:
            self.evolve(best, n_generations)
        quality, chosen = max(self.validated, key=lambda pair: pair[0])
        return chosen, quality

    def halve(self, budget: int) -> Candidate:
        """Return the best of random candidates by successive halving."""
        rng = np.random.default_rng(self.seed)
        n = budget // (N_RUNGS * len(self.arena.shares))
        candidates = [draw(rng, self.space, scheduled=self.scheduled) for _ in range(n)]
        scores: list[list[float]] = [[] for _ in candidates]
        alive = list(range(n))
        for rung in range(N_RUNGS):
            new = self.try_out(f"rung {rung}", [candidates[i] for i in alive], ETA**rung)
            for i, qualities in zip(alive, new, strict=True):
                scores[i] += qualities
            alive.sort(key=lambda i: -float(np.mean(scores[i])))
            self.validate(f"rung {rung}", candidates[alive[0]])
            if rung < N_RUNGS - 1:
                alive = alive[: max(1, len(alive) // ETA)]
        return candidates[alive[0]]

    def evolve(self, start: Candidate, n_generations: int) -> None:
        """Move the numbers of a candidate by CMA-ES, validating the centre now and then."""
        options = {"popsize": N_CANDIDATES, "seed": self.seed + 1, "verbose": -9, "bounds": [0, 1]}
        strategy = _cma().CMAEvolutionStrategy(encode(start, self.space), SIGMA, options)
        every = -(-n_generations // N_VALIDATIONS)
        for generation in range(n_generations):
            genes = strategy.ask()
            candidates = [decode(own, start, self.space) for own in genes]
            qualities = self.try_out(f"generation {generation}", candidates, N_INSTANCES)
            strategy.tell(genes, [-float(np.mean(own)) for own in qualities])
            if (generation + 1) % every == 0 or generation + 1 == n_generations:
                centre = decode(strategy.result.xfavorite, start, self.space)
                self.validate(f"generation {generation}", centre)

    def try_out(self, stage: str, candidates: Sequence[Candidate], n_instances: int) -> list[list[float]]:
        """Return the final qualities of every candidate on fresh training instances."""
        seeds = range(self.seed + self.n_seeds, self.seed + self.n_seeds + n_instances)
        self.n_seeds += n_instances
        self.n_gans += len(candidates) * n_instances * len(self.arena.shares)
        self.spent += len(candidates) * n_instances * sum(self.arena.steps)
        return self._play(stage, "train", candidates, seeds)

    def validate(self, stage: str, candidate: Candidate) -> None:
        """Try the best so far on the validation instances."""
        (qualities,) = self._play(stage, "validation", [candidate], VALIDATED)
        self.validated.append((float(np.mean(qualities)), candidate))
        self.bar.set_postfix_str(f"{self.name}, {stage}: validated {self.validated[-1][0]:.3f}")

    def _play(
        self, stage: str, instances: str, candidates: Sequence[Candidate], seeds: Sequence[int]
    ) -> list[list[float]]:
        """Play all candidates on all instances, or read in the log how that ended."""
        heads = [self._head(stage, instances, i, each, len(seeds)) for i, each in enumerate(candidates)]
        finished = [self.done.get(json.dumps(head)) for head in heads]
        counted = len(candidates) * len(seeds) * len(self.arena.shares) if instances == "train" else 0
        if None not in finished:
            self.bar.update(counted)
            return [row["qualities"] for row in finished if row is not None]
        found: list[dict[tuple[int, int], float]] = [{} for _ in candidates]
        for rows in self.arena.play(self.arena.batches(candidates, seeds, instances)):
            for row in rows:
                quality = 0.0 if row["end"] == "diverged" else row["final_quality"]
                candidate, which = map(int, row["agent"].split())
                found[candidate][which, row["seed"]] = quality
            self.bar.update(len(rows) if counted else 0)
        qualities = [[own[key] for key in sorted(own)] for own in found]
        with self.log.open("a") as stream:
            for head, own, before in zip(heads, qualities, finished, strict=True):
                if before is not None:
                    continue
                stream.write(json.dumps({**head, "quality": float(np.mean(own)), "qualities": own}) + "\n")
        return qualities

    def _head(self, stage: str, instances: str, index: int, candidate: Candidate, n_instances: int) -> Row:
        """Return what says which candidate was tried how: two searches that agree in it are one."""
        return {
            "search": self.name,
            "search_seed": self.seed,
            "environments": [[share.id, dict(share.kwargs)] for share in self.arena.shares],
            "stage": stage,
            "instances": instances,
            "n_instances": n_instances,
            "candidate": index,
            **candidate.as_dict(scheduled=True),
            "n_gans": self.n_gans,
            "spent": self.spent,
        }


def read_log(file: Path) -> dict[str, Row]:
    """Return the rows of a search's log by what was tried."""
    return {
        json.dumps({key: value for key, value in row.items() if key not in ("quality", "qualities")}): row
        for row in read_rows(file)
    }


def _cma() -> Any:
    try:
        return importlib.import_module("cma")
    except ImportError as error:
        raise ImportError(
            "the search needs the package 'cma', which is not installed; install the extra: "
            "pip install 'gan-gym[tune]'"
        ) from error
