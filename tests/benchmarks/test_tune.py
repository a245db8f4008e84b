from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

import benchmarks.tune
from agents.baselines import TunedSchedule
from agents.baselines.rule import FORMS
from agents.mixtures import Share
from benchmarks.playing import Batch, Row
from benchmarks.search import VALIDATED, Arena, Search, read_log
from benchmarks.search_space import END, SPACE, Candidate, decode, draw, encode
from benchmarks.tune import main

BEST = {"g_lr": 3e-3, "d_lr": 1e-3, "instance_noise": 0.3, "beta1": 0.5}


def quality(agent: TunedSchedule) -> float:
    """Return what a made-up GAN is worth: most at BEST, with rates that end low."""
    values, forms = agent.values or {}, agent.forms
    miss = sum(
        (SPACE[name].position(max(values[name], 1e-6)) - SPACE[name].position(best)) ** 2
        for name, best in BEST.items()
    )
    falls = [forms.get(name, ("constant", 1.0)) for name in ("g_lr", "d_lr")]
    ends = [end + (1 - end) * FORMS[form](0.0) for form, end in falls]
    return float(np.exp(-2 * miss - 0.2 * sum(ends)))


class MadeUp:
    """Plays batches at once, noisily; what it was asked for can be counted."""

    def __init__(self) -> None:
        self.n_gans = {"train": 0, "validation": 0}
        self.seeds: dict[str, set[tuple[str, int]]] = {"train": set(), "validation": set()}

    def __call__(self, batches: Sequence[Batch]) -> Iterator[list[Row]]:
        for batch in batches:
            instances = batch.kwargs["instances"]
            self.n_gans[instances] += len(batch.runs)
            self.seeds[instances] |= {(batch.env, seed) for _, _, seed in batch.runs}
            yield [
                {
                    "agent": name,
                    "env": batch.env,
                    "seed": seed,
                    "end": "budget",
                    "final_quality": quality(agent) + 0.05 * np.random.default_rng(seed).normal(),  # type: ignore[arg-type]
                }
                for name, agent, seed in batch.runs
            ]


def search(play: Any, log: Path, name: str = "tuned_schedule", envs: int = 1) -> Search:
    shares = [Share(f"env {i}", 1, {}) for i in range(envs)]
    arena = Arena(shares, [32] * envs, [1000] * envs, play)
    return Search(name, arena, SPACE, 0, log, read_log(log), tqdm(disable=True))


@pytest.mark.parametrize("name", ["tuned_constant", "tuned_schedule"])
def test_finds_what_is_best_within_its_budget(name: str, tmp_path: Path) -> None:
    play = MadeUp()
    under_way = search(play, tmp_path / "log.jsonl", name)
    best, validated = under_way.run(2000)
    assert 1900 < play.n_gans["train"] == under_way.n_gans <= 2000
    assert under_way.spent == 1000 * under_way.n_gans
    for rate in ("g_lr", "d_lr"):
        assert 0.5 < best.values[rate] / BEST[rate] < 2
    assert best.values["beta1"] == pytest.approx(0.5, abs=0.15)
    ends = [best.forms[rate][0] for rate in ("g_lr", "d_lr") if rate in best.forms]
    assert len(ends) == (2 if name == "tuned_schedule" else 0)
    noise = np.mean([0.05 * np.random.default_rng(seed).normal() for seed in VALIDATED])
    assert validated == pytest.approx(quality(best.agent) + noise)


def test_evolution_improves_on_halving(tmp_path: Path) -> None:
    under_way = search(MadeUp(), tmp_path / "log.jsonl")
    under_way.run(3000)
    by_stage = [quality(candidate.agent) for _, candidate in under_way.validated]
    assert max(by_stage[4:]) > max(by_stage[:4]) + 0.02


def test_instances_of_all_environments_are_the_same_for_all_and_never_met_again(tmp_path: Path) -> None:
    play = MadeUp()
    under_way = search(play, tmp_path / "log.jsonl", envs=2)
    under_way.run(1200)
    assert play.n_gans["train"] == under_way.n_gans <= 1200
    assert {seed for env, seed in play.seeds["train"] if env == "env 0"} == {
        seed for env, seed in play.seeds["train"] if env == "env 1"
    }
    assert len(play.seeds["train"]) == 2 * under_way.n_seeds
    assert play.seeds["validation"] == {(f"env {i}", seed) for i in (0, 1) for seed in VALIDATED}


def test_environments_of_one_id_are_told_apart(tmp_path: Path) -> None:
    class Half(MadeUp):
        """Runs on the second environment are worth half."""

        def __call__(self, batches: Sequence[Batch]) -> Iterator[list[Row]]:
            for batch in batches:
                for rows in super().__call__([batch]):
                    scale = batch.kwargs.get("scale", 1.0)
                    yield [{**row, "final_quality": scale * row["final_quality"]} for row in rows]

    shares = [Share("GridGAN-v0", 1, {}), Share("GridGAN-v0", 1, {"scale": 0.5})]
    arena = Arena(shares, [32, 32], [1000, 1000], Half())
    log = tmp_path / "log.jsonl"
    _, found = Search("tuned_constant", arena, SPACE, 0, log, {}, tqdm(disable=True)).run(300)
    row = next(row for row in read_log(log).values() if row["quality"] == found)
    first, second = np.split(np.array(row["qualities"]), 2)
    assert second == pytest.approx(first / 2)


def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    log, whole = tmp_path / "log.jsonl", MadeUp()
    first = search(whole, log)
    expected = first.run(1000)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[: len(lines) * 2 // 3]) + lines[-1][:20])
    rest = MadeUp()
    again = search(rest, log)
    assert again.run(1000) == expected
    assert 0 < rest.n_gans["train"] < whole.n_gans["train"]
    assert (again.n_gans, again.spent) == (first.n_gans, first.spent)
    assert sorted(log.read_text().splitlines()) == sorted(line.strip() for line in lines)


def test_diverged_runs_count_as_nothing(tmp_path: Path) -> None:
    def diverges(batches: Sequence[Batch]) -> Iterator[list[Row]]:
        for rows in MadeUp()(batches):
            yield [{**row, "end": "diverged"} for row in rows]

    assert search(diverges, tmp_path / "log.jsonl").run(200)[1] == 0


@pytest.mark.parametrize("scheduled", [True, False])
def test_numbers_survive_the_way_to_positions_and_back(scheduled: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        candidate = draw(rng, SPACE, scheduled=scheduled)
        genes = encode(candidate, SPACE)
        assert ((genes >= -1e-9) & (genes <= 1 + 1e-9)).all()
        again = decode(genes, candidate, SPACE)
        assert dict(again.values) == pytest.approx(dict(candidate.values), rel=1e-2)
        assert {name: form for name, (form, _) in again.forms.items()} == {
            name: form for name, (form, _) in candidate.forms.items()
        }
        moved = decode(genes + 5, candidate, SPACE)
        for name, value in moved.values.items():
            assert value == (SPACE[name].high if candidate.values[name] > 0 else 0)


def test_draws_use_every_form_and_every_switch() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(rng, SPACE, scheduled=True) for _ in range(400)]
    for name, dimension in SPACE.items():
        off = np.mean([candidate.values[name] == 0 for candidate in drawn])
        assert off == pytest.approx(dimension.p_off, abs=0.08)
        forms = {candidate.forms.get(name, ("constant", 1))[0] for candidate in drawn}
        assert forms == set(dimension.forms or ("constant",))
    ends = [end for candidate in drawn for _, end in candidate.forms.values()]
    assert min(ends) == 0
    assert END.low <= sorted(set(ends))[1]
    assert max(ends) <= END.high


def test_a_candidate_is_what_ships() -> None:
    candidate = Candidate(BEST, {"g_lr": ("step", 0.1)})
    shipped = json.loads(json.dumps(candidate.as_dict(scheduled=True)))
    rule = TunedSchedule(shipped["values"], shipped["forms"])
    info = {"networks": "mlp", "progress_remaining": 0.4}
    assert rule.settings(info, None) == candidate.agent.settings(info, None)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    play = MadeUp()

    @contextmanager
    def players(n_processes: int) -> Iterator[MadeUp]:
        yield play

    monkeypatch.setattr(benchmarks.tune, "players", players)
    return play


def test_families_get_settings_of_their_own_and_others_stay(made_up: MadeUp, tmp_path: Path) -> None:
    out = tmp_path / "tuned.json"
    out.write_text(json.dumps({"images": {"kept": True}}))
    assert main(["--env", "GridGAN-v0", "--budget", "150", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["images"] == {"kept": True}
    constant, schedule = (content["points"][name] for name in ("tuned_constant", "tuned_schedule"))
    assert "forms" not in constant
    assert set(schedule) == {"values", "forms", "quality", "n_instances", "n_gans", "inner_steps", "origin"}
    assert schedule["inner_steps"] == 1000 * schedule["n_gans"]
    assert content["points"]["tuned_constant"]["origin"]["command"].startswith(
        "python -m benchmarks.tune --env GridGAN-v0"
    )
    assert "reward_weight" not in constant["values"]
    assert main(["--env", "mixture", "--budget", "600", "--reward_weight", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    searched = [id for id, _ in content["images"]["tuned_schedule"]["origin"]["environments"]]
    assert searched == ["StackedDigitsGAN-v0", "HistoGAN-v0"]
    assert content["images"]["tuned_constant"]["values"]["g_lr"] <= 2e-3, "images need a tenth of the rates"
    assert "reward_weight" in content["images"]["tuned_constant"]["values"]


def test_the_folder_of_the_settings_is_made(made_up: MadeUp, tmp_path: Path) -> None:
    out = tmp_path / "new" / "tuned.json"
    command = ["--env", "GridGAN-v0", "--budget", "108", "--baselines", "tuned_constant", "--out", str(out)]
    assert main(command) == 0
    assert "tuned_constant" in json.loads(out.read_text())["points"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--env", "GridGAN"], "did you mean 'GridGAN-v0'"),
        (["--budget", "100"], "--budget is 100; give at least 108"),
        (["--env", "GridGAN-v0", "RingGAN-v0", "--budget", "200"], "give at least 216"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], complaint: str, made_up: MadeUp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "tuned.json")]) == 2
    assert complaint in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
