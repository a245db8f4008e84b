from __future__ import annotations

import numpy as np
import pytest
import torch

import benchmarks.judge
import gan_gym.data.loading
from agents.baselines import make_baseline
from benchmarks.ceilings import ceiling, half_of_modes
from benchmarks.judge import keep_for_judge
from benchmarks.playing import Batch, play_batch, players
from gan_gym.data.sampler import to_float
from gan_gym.envs.points import GridGANEnv, RingGANEnv
from gan_gym.envs.problem import Problem

TINY = {"inner_steps": 1, "episode_steps": 2, "batch_size": 8}


def batch(*names: str, seeds: range = range(2), **kwargs: object) -> Batch:
    runs = [(name, name, seed) for name in names for seed in seeds]
    return Batch("GridGAN-v0", {**TINY, **kwargs}, runs)


def test_processes_play_what_one_plays() -> None:
    batches = [batch("constant"), batch("cosine"), batch("ttur", loss="hinge", instances="default")]
    one, two = ([], [])  # type: ignore[var-annotated]
    for n_processes, rows in ((1, one), (2, two)):
        with players(n_processes) as play:
            rows += [row for played in play(batches) for row in played]
    assert sorted(map(str, one)) == sorted(map(str, two))
    assert len(one) == 6


def test_agents_given_as_objects_and_by_name_play_alike() -> None:
    named, made = batch("cosine"), Batch("GridGAN-v0", TINY, [("cosine", make_baseline("cosine"), 0)])
    assert play_batch(made)[0] == next(row for row in play_batch(named) if row["seed"] == 0)


def test_a_run_fails_that_diverges_or_loses_half_of_the_modes() -> None:
    rows = play_batch(
        Batch(
            "RingGAN-v0",
            {"inner_steps": 100, "episode_steps": 10},
            [("good", "tuned_schedule", 1), ("reckless", make_baseline("ttur", g_lr=1e30, d_lr=1e30), 1)],
        )
    )
    good, reckless = sorted(rows, key=lambda row: row["agent"])
    assert good["modes"] >= 4
    assert not good["failed"]
    assert reckless["failed"]
    assert (good["real_modes"], good["real_modes20"]) == (8, 8)
    assert good["real_hq"] == pytest.approx(1 - np.exp(-4.5), abs=2e-3), "3 standard deviations in the plane"
    untrained = play_batch(batch("constant", seeds=range(1)))[0]
    assert untrained["end"] == "budget"
    assert untrained["failed"] == (untrained["modes"] < 12.5)


@pytest.mark.parametrize(("n_modes", "n_counted"), [(25, 2500), (8, 2500), (1000, 1000)])
def test_half_of_the_modes_is_what_samples_of_half_of_them_show(n_modes: int, n_counted: int) -> None:
    problem = Problem(None, None, 0, torch.empty(0), None, n_modes, n_counted)  # type: ignore[arg-type]
    rng, n_half = np.random.default_rng(0), n_modes // 2
    shown = np.mean([len(set(rng.integers(n_half, size=n_counted))) for _ in range(200)])
    assert half_of_modes(problem) == pytest.approx(shown, abs=1.5 if n_modes > 100 else 0.51)


def test_real_data_is_counted_as_fakes_are() -> None:
    for env, n in ((GridGANEnv(), 25), (RingGANEnv(), 8)):
        modes, modes20, hq = ceiling(env.problem) or (0, 0, 0)
        assert (modes, modes20) == (n, n)
        assert hq == pytest.approx(1 - np.exp(-4.5), abs=2e-3)


@pytest.fixture
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.judge, "N_FAKES", 16)
    monkeypatch.setattr(gan_gym.data.loading, "EMBEDDED_PATCHES", 128)


ON_PATCHES = {"image_size": 16, "device": "cpu", **TINY}


@pytest.mark.usefixtures("few_patches")
def test_patches_kept_from_training_judge_by_kid() -> None:
    env, judge = keep_for_judge({**ON_PATCHES, "instances": "test"})
    everything = gan_gym.data.loading.load_patches(None, 16).patches.images
    kept = {image.numpy().tobytes() for image in env.problem.source.images}  # type: ignore[attr-defined]
    assert kept < {image.numpy().tobytes() for image in everything}
    assert 0.6 < len(kept) / len(everything) < 0.9
    env.reset(seed=0)
    untrained = judge.kid(env.trainer)
    assert untrained == judge.kid(env.trainer) > 0.1
    env.trainer.sample = lambda z: to_float(everything[: len(z)])  # type: ignore[method-assign]
    assert judge.kid(env.trainer) < untrained / 2, "real patches are nearer to real patches"


@pytest.mark.usefixtures("few_patches")
def test_rows_on_patches_hold_the_kid_of_both_models() -> None:
    runs = [("blows up", make_baseline("ttur", g_lr=1e30, d_lr=1e30), 0), ("constant", "constant", 0)]
    rows = {row["agent"]: row for row in play_batch(Batch("HistoGAN-v0", ON_PATCHES, runs, judged=True))}
    assert rows["blows up"]["failed"]
    for row in rows.values():
        assert row["modes"] == -1
        assert row["kid"] > 0.1
    assert rows["blows up"]["kid"] == rows["blows up"]["best_kid"], "of the untrained model"
    assert rows["constant"]["kid"] != rows["blows up"]["kid"]
