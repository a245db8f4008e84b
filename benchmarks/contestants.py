"""Who is compared: shipped controllers, folders, algorithms trained on the spot, baselines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.algorithms import ALGOS
from agents.baselines import find_agent
from agents.controller import Controller, shipped
from agents.environments import check_id
from agents.fit_checkpoints import digest_file
from agents.mixtures import MIXTURES
from agents.run_folder import new_folder
from agents.training import train
from benchmarks.lookahead import AGENTS
from benchmarks.pbt import POPULATIONS
from gan_gym.names import lookup

SEED_FOLDER = re.compile(r"seed_(\d+)")
KNOWN: Mapping[str, object] = {**AGENTS, **POPULATIONS}
"""All that a comparison takes as a baseline."""


@dataclass(frozen=True)
class Contestant:
    """An agent under one name, trained with one seed or with several."""

    name: str
    """Name in rows and tables."""
    agents: Mapping[int, str]
    """What `lookahead.find` takes, or one of `POPULATIONS`, by the seed of its training; 0 for what was never
    trained."""

    def origin(self, seed: int) -> str:
        """Return the digest by which a controller can be told from others; `""` for a rule."""
        name = self.agents[seed]
        path = shipped().get(name, Path(name))
        if name in KNOWN or not (path.is_file() or (path / "controller.json").is_file()):
            return ""
        return digest(path)


def digest(path: Path) -> str:
    """Return what tells the controller in a folder, or a model of Stable-Baselines3, from others."""
    if path.is_file():
        return digest_file(path)[:12]
    return str(json.loads((path / "controller.json").read_text())["sha256"])[:12]


@dataclass(frozen=True)
class Training:
    """How algorithms are trained on the spot."""

    env: str
    """Id of the environment, or a mixture's name."""
    total_timesteps: int
    """Env steps of each."""
    env_kwargs: Mapping[str, Any]
    """Arguments of the environment, instances aside."""
    seeds: Sequence[int]
    """Seeds each algorithm is trained with."""
    n_envs: int | None
    """Environments each learns in; `None` as many as `agents.train` takes."""
    folder: Path
    """Where the controllers are kept."""

    def controller(self, algo: str, seed: int) -> str:
        """Return the folder of an algorithm's controller, trained now unless it is there already.

        Raises:
            ValueError: if there is one, trained otherwise.
        """
        if not self._is_there(algo, seed):
            self.keep(algo, seed, self.learnt(algo, seed, progress=True))
        elif (found := Controller.load(self._folder(algo, seed)).card.get("asked")) != self._asked:
            raise ValueError(
                f"'{self._folder(algo, seed)}' was trained otherwise ({found}); give another --out"
            )
        return str(self._folder(algo, seed))

    def missing(self, algos: Iterable[str]) -> list[tuple[str, int]]:
        """Return the algorithms and seeds that are not trained yet."""
        return [(algo, seed) for algo in algos for seed in self.seeds if not self._is_there(algo, seed)]

    def learnt(
        self, algo: str, seed: int, *, n_processes: int | None = None, progress: bool = False
    ) -> Controller:
        """Train an algorithm, on as many processes as `agents.train` takes unless it is said how many."""
        controller = train(
            algo,
            self.env,
            self.total_timesteps,
            n_envs=self.n_envs,
            n_processes=n_processes,
            seed=seed,
            env_kwargs=dict(self.env_kwargs),
            progress=progress,
        )
        controller.card["asked"] = self._asked
        return controller

    def keep(self, algo: str, seed: int, controller: Controller) -> None:
        """Save a controller where it is looked for."""
        with new_folder(self._folder(algo, seed)) as part:
            controller.save(part)

    def _folder(self, algo: str, seed: int) -> Path:
        return self.folder / algo / f"seed_{seed}"

    def _is_there(self, algo: str, seed: int) -> bool:
        return (self._folder(algo, seed) / "controller.json").is_file()

    @property
    def _asked(self) -> dict[str, Any]:
        return {
            "environment": self.env,
            "total_timesteps": self.total_timesteps,
            "env_kwargs": dict(self.env_kwargs),
            "n_envs": self.n_envs,
        }


def check(agents: Sequence[str], baselines: Sequence[str], training: Training) -> None:
    """Check all names before anything is trained.

    Raises:
        ValueError: if one is unknown, names no controller, or stands for two agents.
    """
    if training.env not in MIXTURES:
        check_id(training.env)
    for name in baselines:
        lookup(KNOWN, name, "baseline")
    names = [spec if spec in ALGOS else fixed(spec).name for spec in agents] + list(baselines)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two agents are called '{name}'; give one another name: NAME=FOLDER")


def find(agents: Sequence[str], baselines: Sequence[str], training: Training) -> list[Contestant]:
    """Return the agents and baselines of a comparison, those named by `ALGOS` trained."""
    found = [
        Contestant(spec, {seed: training.controller(spec, seed) for seed in training.seeds})
        if spec in ALGOS
        else fixed(spec)
        for spec in agents
    ]
    return found + [Contestant(name, {0: name}) for name in baselines]


def fixed(spec: str) -> Contestant:
    """Return an agent that needs no training: `NAME`, `FOLDER` or `NAME=FOLDER,FOLDER`.

    A folder that holds `seed_0`, `seed_1`, ... is one agent trained with these seeds.
    """
    name, _, listed = ("", "", spec) if "=" not in spec or Path(spec).is_dir() else spec.partition("=")
    folders = [Path(path) for path in listed.split(",")]
    agents = dict(enumerate(map(str, folders)))
    if len(folders) == 1:
        agents = _trained_in(folders[0]) or agents
    for agent in agents.values():
        find_agent(agent)
    return Contestant(name or folders[0].name, agents)


def _trained_in(folder: Path) -> dict[int, str]:
    """Return the controllers in `folder/seed_<n>`, by n."""
    found = {
        int(match[1]): str(path.parent)
        for path in folder.glob("seed_*/controller.json")
        if (match := SEED_FOLDER.fullmatch(path.parent.name))
    }
    return dict(sorted(found.items()))
