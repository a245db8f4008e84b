"""Train a variant of the controller with one seed, and let it control GANs it has never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from agents.acting import Agent
from agents.controller import Controller
from agents.environments import make_env, make_one
from agents.run_folder import new_folder
from agents.sizing import worth_compiling
from agents.training import train
from benchmarks.ablation_moves import SmallMoves, SmallMovesVecEnv
from benchmarks.ablation_variants import Variant
from benchmarks.contestants import digest
from benchmarks.playing import Batch, Row, play_batch, workers

ALGO = "ppo"
TRAINED_IN = "GridGAN-v0"
"""Environment that controllers learn in."""
PLAYED_IN = ("GridGAN-v0", "RingGAN-v0")
"""Environments they are compared in."""
INSTANCES = "validation"
"""Instances they are compared on: none is met in training, and what is chosen by them is tested on others."""


@dataclass(frozen=True)
class Recipe:
    """How every variant is trained."""

    total_timesteps: int
    """Env steps in all."""
    n_envs: int
    """Environments that it learns in side by side."""
    imitated: str | None
    """Baseline it begins as; `None` begins at random."""


@dataclass(frozen=True)
class Cell:
    """A variant, trained with one seed."""

    name: str
    """Name of the variant."""
    variant: Variant
    seed: int
    """Seed of the training."""
    recipe: Recipe
    folder: str
    """Where its controller is kept."""
    missing: Mapping[str, Sequence[int]]
    """Seeds of the instances it has yet to meet, by environment."""

    @property
    def conditions(self) -> Row:
        """What makes the cell's controller what it is, JSON-able."""
        return {
            **vars(self.recipe),
            "knobs": list(self.variant.knobs),
            "hidden": list(self.variant.hidden),
            "max_factor": self.variant.max_factor,
            "kwargs": dict(self.variant.kwargs),
        }


def play_cells(cells: Sequence[Cell], n_processes: int) -> Iterator[list[Row]]:
    """Train and play all cells, on several processes, and yield the rows of each as it ends."""
    with workers(min(n_processes, len(cells)), play_cell) as play:
        yield from play(cells)


def play_cell(cell: Cell) -> list[Row]:
    """Train the cell's controller, unless it is there already, and return one row a GAN under its control.

    Raises:
        ValueError: if there is a controller, trained otherwise.
    """
    agent, known_by = _controller(cell)
    rows = []
    for env, seeds in cell.missing.items():
        if not seeds:
            continue
        kwargs = {"instances": INSTANCES, "knobs": list(cell.variant.knobs), **cell.variant.kwargs}
        played = play_batch(Batch(env, kwargs, [(cell.name, agent, seed) for seed in seeds]))
        first = {"agent": cell.name, "env": env, "setting": "default", "training_seed": cell.seed}
        last = {"env_kwargs": kwargs, "controller": known_by, "training": cell.conditions}
        rows += [{**first, **row, **last} for row in played]
    return rows


def _controller(cell: Cell) -> tuple[Agent, str]:
    """Return the cell's agent, trained now or loaded, and the digest that tells it from others."""
    folder = Path(cell.folder)
    if not (folder / "controller.json").is_file():
        controller = _train(cell)
        controller.card["environment"], controller.card["ablation"] = TRAINED_IN, cell.conditions
        with new_folder(folder) as part:
            controller.save(part)
    controller = Controller.load(folder)
    found = controller.card.get("ablation")
    if found != cell.conditions:
        raise ValueError(f"'{folder}' was trained otherwise ({found}); give another --out")
    factor = cell.variant.max_factor
    return controller if factor is None else SmallMoves(controller, factor), digest(folder)


def _train(cell: Cell) -> Controller:
    variant, recipe = cell.variant, cell.recipe
    kwargs: dict[str, Any] = {"instances": "train", "knobs": variant.knobs, **variant.kwargs}
    networks = make_one(TRAINED_IN, **kwargs).networks
    kwargs["compile"] = worth_compiling(networks, recipe.n_envs, recipe.total_timesteps)
    vector: VecEnv = make_env(TRAINED_IN, ALGO, recipe.n_envs, seed=cell.seed, n_processes=1, **kwargs)
    if variant.max_factor is not None:
        vector = SmallMovesVecEnv(vector, variant.knobs, variant.max_factor)
    try:
        return train(
            ALGO,
            vector,
            recipe.total_timesteps,
            seed=cell.seed,
            env_kwargs=kwargs,
            imitated=recipe.imitated,
            hidden=variant.hidden,
        )
    finally:
        vector.close()
