"""The rows of a comparison: every agent meets the same instances in every setting; nothing is done twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agents.environments import make_one
from agents.evaluation import n_envs_for
from benchmarks.contestants import Contestant
from benchmarks.lookahead import find
from benchmarks.pbt import POPULATIONS
from benchmarks.playing import Batch, Play, Row
from benchmarks.settings import SETTINGS


@dataclass(frozen=True)
class Comparison:
    """What is run."""

    env: str
    """Id of the environment."""
    settings: Mapping[str, Mapping[str, Any]]
    """Arguments of the environment in each setting."""
    contestants: Sequence[Contestant]
    """Who acts."""
    seeds: Sequence[int]
    """Seeds of the resets: the instances."""
    judged: bool
    """Whether KID to patches kept from training is measured."""
    players: Callable[[int], AbstractContextManager[Play]]
    """Gives what trains GANs, told how many batches there are."""
    provenance: Mapping[str, str]
    """`commit` and `command`, for the rows."""


@dataclass(frozen=True)
class _Cell:
    """One training of one agent in one setting, which is played on every seed."""

    setting: str
    contestant: Contestant
    training_seed: int

    @property
    def agent(self) -> str:
        return self.contestant.agents[self.training_seed]

    @property
    def key(self) -> tuple[str, str, int]:
        return self.setting, self.contestant.name, self.training_seed


def run(comparison: Comparison, file: Path) -> list[Row]:
    """Return one row a GAN, continuing what the file holds already.

    Raises:
        ValueError: if the file holds rows of these agents made otherwise.
    """
    rows = read_rows(file)
    cells = [
        _Cell(setting, contestant, training_seed)
        for setting in comparison.settings
        for contestant in comparison.contestants
        for training_seed in contestant.agents
    ]
    _check_continues(rows, cells, comparison, file)
    done = {(row["setting"], row["agent"], row["training_seed"], row["seed"]) for row in rows}
    missing = [(cell, seed) for cell in cells for seed in comparison.seeds if (*cell.key, seed) not in done]
    batches = list(_batches(missing, cells, comparison))
    total = len(cells) * len(comparison.seeds)
    with (
        comparison.players(len(batches)) as play,
        tqdm(total=total, initial=total - len(missing), unit="GAN") as bar,
    ):
        for played in play(batches):
            new = [_row(row, cells[int(row["agent"])], comparison) for row in played]
            append_rows(file, new)
            rows += new
            bar.update(len(new))
            bar.set_postfix_str(f"{new[-1]['agent']} @ {new[-1]['setting']}")
    return rows


def read_rows(file: Path) -> list[Row]:
    """Return the rows of a file, which need not exist; a last line that was cut off is removed from it."""
    if not file.is_file():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def append_rows(file: Path, rows: Sequence[Row]) -> None:
    """Write rows behind those that a file holds."""
    with file.open("a") as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in rows))


def _conditions(cell: _Cell, comparison: Comparison) -> Row:
    """Return what must be equal in all rows of a cell."""
    return {
        "env": comparison.env,
        "env_kwargs": json.loads(json.dumps(comparison.settings[cell.setting])),
        "controller": cell.contestant.origin(cell.training_seed),
    }


def _check_continues(rows: Sequence[Row], cells: Sequence[_Cell], comparison: Comparison, file: Path) -> None:
    wanted = {cell.key: _conditions(cell, comparison) for cell in cells}
    for row in rows:
        key = row.get("setting"), row["agent"], row["training_seed"]
        found = {name: row.get(name) for name in ("env", "env_kwargs", "controller")}
        if key[0] is None or found != wanted.get(key, found):  # type: ignore[arg-type]
            raise ValueError(
                f"'{file}' holds runs of '{row['agent']}' that were made otherwise ({found}); "
                "give another --out"
            )


def _batches(
    missing: Sequence[tuple[_Cell, int]], cells: Sequence[_Cell], comparison: Comparison
) -> Iterator[Batch]:
    """Share the runs out over batches of agents that turn the same knobs in the same setting.

    A population takes the places of several GANs, and has batches of its own.
    """
    alike: dict[str, Any] = {
        agent: agent if agent in POPULATIONS else find(agent).knobs
        for agent in {cell.agent for cell in cells}
    }
    groups: dict[tuple[str, Any], list[tuple[str, str, int]]] = defaultdict(list)
    for cell, seed in missing:
        run = str(cells.index(cell)), cell.agent, seed
        groups[cell.setting, alike[cell.agent]].append(run)
    for (setting, of), runs in groups.items():
        kwargs = comparison.settings[setting]
        trial = make_one(comparison.env, **kwargs)
        n_envs = SETTINGS[setting].n_envs or n_envs_for(trial)
        n_runs = max(1, n_envs // POPULATIONS[of].n_members) if of in POPULATIONS else n_envs
        for first in range(0, len(runs), n_runs):
            part = runs[first : first + n_runs]
            yield Batch(comparison.env, kwargs, part, n_envs, comparison.judged)


def _row(played: Row, cell: _Cell, comparison: Comparison) -> Row:
    first = {
        "agent": cell.contestant.name,
        "env": comparison.env,
        "setting": cell.setting,
        "training_seed": cell.training_seed,
    }
    return {**first, **played, **first, **_conditions(cell, comparison), **comparison.provenance}
