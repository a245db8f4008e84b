from __future__ import annotations

import gc
import inspect
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from benchmarks import pbt
from benchmarks.compare import main
from benchmarks.comparison_rows import read_rows
from benchmarks.pbt import FACTORS, HIGH, LOW, PBT, POPULATIONS, explored
from benchmarks.playing import Batch, Row, play_batch

SMALL = {"inner_steps": 3, "episode_steps": 8, "batch_size": 16, "instances": "test"}


def played(name: str = "pbt", seeds: range = range(2), **kwargs: Any) -> list[Row]:
    return play_batch(Batch("GridGAN-v0", {**SMALL, **kwargs}, [(name, name, seed) for seed in seeds]))


@pytest.mark.parametrize("n_members", [2, 3, 4, 8])
def test_the_worst_take_over_from_the_best(n_members: int) -> None:
    rng = np.random.default_rng(0)
    scores, n = rng.permutation(n_members).astype(float), -(-n_members // 4)
    rates = [(10.0 ** -(3 + i), 1e-3) for i in range(n_members)]
    taken = PBT(n_members).turn_over(scores.tolist(), rates, rng)
    assert {scores[loser] for loser in taken} == set(range(n))
    assert {scores[source] for source, _ in taken.values()} <= set(range(n_members - n, n_members))


def test_rates_are_turned_by_the_factors_or_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    rates = np.array([explored((1e-3, 1e-4), rng) for _ in range(2000)]) / (1e-3, 1e-4)
    turned = np.isclose(rates[..., None], FACTORS)
    assert turned.any(-1).mean() == pytest.approx(0.75, abs=0.03)
    assert turned.mean((0, 1)) == pytest.approx([0.375, 0.375], abs=0.03)
    drawn = np.log(rates * (1e-3, 1e-4))[~turned.any(-1)]
    assert drawn.min() >= np.log(LOW)
    assert drawn.max() <= np.log(HIGH)
    assert drawn.mean() == pytest.approx((np.log(LOW) + np.log(HIGH)) / 2, abs=0.3)


def test_a_population_of_one_is_a_gan_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POPULATIONS, "alone", PBT(1))
    for ours, other in zip(played("alone"), played("constant"), strict=True):
        assert set(ours) == set(other)
        for name, value in other.items():
            if name != "agent":
                assert ours[name] == pytest.approx(value, abs=1e-3), name


def test_all_updates_are_charged_and_the_shared_budget_is_that_of_one_run() -> None:
    own, shared, alone = played("pbt"), played("pbt_shared"), played("constant")
    for row, part, one in zip(own, shared, alone, strict=True):
        assert row["instance"] == part["instance"] == one["instance"]
        assert row["inner_steps"] == one["inner_steps"] == 24
        assert row["inner_steps_spent"] == 4 * 24
        assert part["inner_steps"] == 6
        assert part["inner_steps_spent"] == one["inner_steps_spent"] == 24
    assert len({row["final_quality"] for row in (*own, *shared, *alone)}) == 6


def test_a_run_does_not_depend_on_those_beside_it() -> None:
    together = played(seeds=range(2))
    for seed, row in enumerate(together):
        (single,) = played(seeds=range(seed, seed + 1))
        assert single["final_quality"] == pytest.approx(row["final_quality"], abs=2e-3)
        assert single["instance"] == row["instance"]


def test_members_that_diverged_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the instance's own start beyond any limit; the last model is one that did not diverge."""
    limits = {name: replace(pbt.KNOBS[name], high=1e33) for name in pbt.NAMES}
    monkeypatch.setattr(pbt, "KNOBS", limits)
    monkeypatch.setattr(pbt, "explored", lambda rates, rng: rates)
    monkeypatch.setattr(PBT, "starts", lambda self, own, rng: [own, *[(1e30, 1e30)] * (self.n_members - 1)])
    monkeypatch.setitem(POPULATIONS, "two", PBT(2))
    monkeypatch.setattr(pbt, "N_ROUNDS", 8)
    (row,) = played("two", seeds=range(1))
    assert row["end"] == "budget"
    assert row["inner_steps_spent"] == 2 * 24, "its place is taken over after the round in which it diverged"


def test_a_comparison_names_what_populations_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [
        "--env",
        "RingGAN-v0",
        "--episodes",
        "9",
        "--env_kwargs",
        json.dumps(SMALL),
        "--out",
        str(tmp_path),
    ]
    assert main([*call, "--processes", "1", "--agents", "--baselines", "constant", "pbt", "pbt_shared"]) == 0
    rows = read_rows(tmp_path / "results.jsonl")
    assert sorted((row["agent"], row["seed"]) for row in rows) == [
        (name, seed) for name in ("constant", "pbt", "pbt_shared") for seed in range(9)
    ]
    table = capsys.readouterr().out
    assert "charged" in table
    first = next(line for line in table.splitlines() if line.startswith("| pbt |"))
    assert first.split("|")[-2].strip() == "96"


@pytest.fixture
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.tune")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        }.items():
            patch.setenv(name, value)
        ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield ray
        ray.shutdown()
        gc.collect()  # while the warnings about its processes are ignored


@pytest.mark.filterwarnings("ignore")
def test_ray_tune_decides_alike(ray: Any, tmp_path: Path) -> None:
    """On something that is no GAN, whose score follows from all rates it was ever trained at."""
    tune, n_rounds, start = ray.tune, 3, [(1e-3, 1e-3), (1e-4, 5e-3), (3e-3, 1e-5)]

    def score(trace: list[list[float]]) -> float:
        return float(sum(np.sin(1e4 * (g + 2 * d)) for g, d in trace))

    def member(config: dict[str, Any]) -> None:
        trace: list[list[float]] = []
        if checkpoint := tune.get_checkpoint():
            with checkpoint.as_directory() as folder:
                trace = json.loads(Path(folder, "trace").read_text())
        while True:
            trace.append(config["rates"])
            with TemporaryDirectory() as folder:
                Path(folder, "trace").write_text(json.dumps(trace))
                kept = tune.Checkpoint.from_directory(folder)
                tune.report({"score": score(trace), "trace": trace}, checkpoint=kept)

    theirs = np.random.default_rng(7)
    scheduler = tune.schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        custom_explore_fn=lambda config: {"rates": list(explored(config["rates"], theirs))},
        synch=True,
        log_config=False,
    )
    grid = tune.Tuner(
        member,
        param_space={"rates": tune.grid_search([list(rates) for rates in start])},
        tune_config=tune.TuneConfig(scheduler=scheduler, metric="score", mode="max"),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), stop={"training_iteration": n_rounds}, verbose=0
        ),
    ).fit()
    ours, population = np.random.default_rng(7), PBT(3)
    rates, traces = list(start), [[list(own)] for own in start]
    for _ in range(n_rounds - 1):
        taken = population.turn_over([score(trace) for trace in traces], rates, ours)
        assert taken
        for loser, (source, new) in taken.items():
            rates[loser], traces[loser] = new, list(traces[source])
        for trace, own in zip(traces, rates, strict=True):
            trace.append(list(own))
    assert [result.metrics["trace"] for result in grid] == traces


def test_the_constants_are_those_of_ray_tune() -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    theirs = inspect.signature(schedulers.PopulationBasedTraining).parameters
    assert theirs["quantile_fraction"].default == pbt.QUANTILE
    assert theirs["resample_probability"].default == pbt.RESAMPLED
    assert theirs["perturbation_factors"].default == pbt.FACTORS
