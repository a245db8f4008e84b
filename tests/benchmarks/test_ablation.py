"""One thing is changed at a time, all else is equal, and what was done is not done again."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import agents
from agents.controller import Controller
from agents.demonstration import move_towards
from agents.environments import make_env
from agents.hiding import hidden_rows
from benchmarks.ablation import main
from benchmarks.ablation_cells import PLAYED_IN, Cell, Recipe, play_cell
from benchmarks.ablation_moves import SmallMoves, SmallMovesVecEnv, shares
from benchmarks.ablation_summary import ALL, summarise, to_table
from benchmarks.ablation_variants import FULL, N_INNER_STEPS, QUESTIONS, VARIANTS, Variant, chosen
from gan_gym.knobs import DEFAULT_KNOBS, KNOBS, resolve
from gan_gym.observations import GROUPS

TINY = {"inner_steps": 1, "episode_steps": 3}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_differ_from_the_full_one_in_one_thing(name: str) -> None:
    plain = {field.name: getattr(VARIANTS[FULL], field.name) for field in fields(Variant)}
    different = {key for key, value in plain.items() if getattr(VARIANTS[name], key) != value}
    assert len(different - {"question", "change"}) == (0 if name == FULL else 1)
    assert VARIANTS[name].question in QUESTIONS


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("env_id", PLAYED_IN)
def test_all_train_gans_for_equally_many_inner_steps(name: str, env_id: str) -> None:
    variant = VARIANTS[name]
    env: Any = gym.make(f"gan_gym:{env_id}", knobs=variant.knobs, **variant.kwargs).unwrapped
    assert env.inner_steps * env.episode_steps == N_INNER_STEPS
    hidden_rows(variant.hidden, variant.knobs)


def test_every_knob_and_every_group_is_asked_about() -> None:
    turned = {knob for variant in VARIANTS.values() for knob in variant.knobs}
    assert turned == set(KNOBS)
    for knob in DEFAULT_KNOBS:
        assert set(VARIANTS[f"no_{knob}"].knobs) == set(DEFAULT_KNOBS) - {knob}
    for group in GROUPS:
        assert VARIANTS[f"no_{group}"].hidden == (group,)
    assert set(VARIANTS["schedule"].hidden) == {"losses", "scores", "gradients", "similarity"}
    assert set(VARIANTS["schedule_and_losses"].hidden) == {"scores", "gradients", "similarity"}


def test_variants_are_chosen_by_name_or_question() -> None:
    assert list(chosen([])) == list(VARIANTS)
    assert list(chosen(["no_time"])) == [FULL, "no_time"]
    assert list(chosen(["moves", "no_time"])) == [FULL, "no_time", "factor_2", "factor_4", "factor_8"]
    with pytest.raises(ValueError, match="unknown variant 'no_tim'; did you mean 'no_time'"):
        chosen(["no_tim"])


@pytest.mark.parametrize("action", [-1.0, -0.5, 0.25, 1.0])
def test_a_whole_move_is_by_the_largest_factor(action: float) -> None:
    knobs = resolve(tuple(name for name in KNOBS if "ratio" not in name))
    smaller = shares(tuple(knob.name for knob in knobs), 3.0)
    for knob, share in zip(knobs, smaller.tolist(), strict=True):
        middle = float(np.sqrt(knob.low * knob.high))
        expected = middle * min(3.0, knob.max_factor) ** action
        assert knob.move(middle, action * share) == pytest.approx(expected, rel=1e-5)


class Always:
    """Makes the same move at every decision."""

    knobs = DEFAULT_KNOBS

    def __init__(self, action: np.ndarray) -> None:
        self.action = action

    def predict(self, *_: Any, **__: Any) -> tuple[np.ndarray, None]:
        return self.action, None


def test_moves_are_as_small_in_training_as_in_use() -> None:
    vector = SmallMovesVecEnv(make_env("GridGAN-v0", "ppo", 2, **TINY), DEFAULT_KNOBS, 2.0)
    vector.reset()
    before = vector.venv.reset_infos[1]
    action = np.array([1.0, -1.0, 0.0, 0.0], np.float32)
    _, _, _, infos = vector.step(np.stack([np.zeros(4, np.float32), action]))
    assert infos[1]["g_lr"] == pytest.approx(2 * before["g_lr"], rel=1e-5)
    assert infos[1]["d_lr"] == pytest.approx(before["d_lr"] / 2, rel=1e-5)
    assert infos[1]["beta1"] == before["beta1"]
    in_use, _ = SmallMoves(Always(action), 2.0).predict(None)
    env: Any = gym.make("gan_gym:GridGAN-v0", **TINY).unwrapped
    _, start = env.reset(seed=1)
    assert env.step(in_use)[-1]["g_lr"] == pytest.approx(2 * start["g_lr"], rel=1e-5)


def test_a_rule_that_is_imitated_sees_the_smaller_moves() -> None:
    """What takes it to its target by smaller moves is a larger action."""
    vector = SmallMovesVecEnv(make_env("GridGAN-v0", "ppo", 1, **TINY), DEFAULT_KNOBS, 2.0)
    vector.reset()
    info = vector.venv.reset_infos[0]
    target = {"g_lr": 1.5 * info["g_lr"]}
    action = move_towards(target, info, vector.get_attr("knobs")[0])
    _, _, _, infos = vector.step(action[None])
    assert infos[0]["g_lr"] == pytest.approx(target["g_lr"], rel=1e-5)
    assert vector.get_attr("episode_steps") == [3]


def cell(tmp_path: Path, variant: Variant, **changes: Any) -> Cell:
    return Cell(
        **{
            "name": FULL,
            "variant": replace(variant, kwargs=TINY),
            "seed": 1,
            "recipe": Recipe(total_timesteps=80, n_envs=2, imitated=None),
            "folder": str(tmp_path / "controller"),
            "missing": {"RingGAN-v0": [5, 6], "GridGAN-v0": []},
            **changes,
        }
    )


def test_the_full_variant_is_what_train_returns(tmp_path: Path) -> None:
    rows = play_cell(cell(tmp_path, VARIANTS[FULL]))
    ours = Controller.load(tmp_path / "controller")
    theirs = agents.train(
        "ppo", "GridGAN-v0", 80, n_envs=2, n_processes=1, seed=1, env_kwargs=dict(TINY)
    )  # fmt: skip
    for name, value in theirs.policy.state_dict().items():
        np.testing.assert_array_equal(ours.policy.state_dict()[name], value)
    expected = agents.evaluate(
        theirs, "RingGAN-v0", n_episodes=2, seed=5, env_kwargs={**TINY, "instances": "validation"}
    )
    assert [(row["seed"], row["final_quality"]) for row in rows] == [
        (episode.seed, episode.final_quality) for episode in expected
    ]


def test_what_differs_reaches_the_controller(tmp_path: Path) -> None:
    variant = replace(VARIANTS["no_scores"], knobs=("g_lr", "r1_gamma"))
    play_cell(cell(tmp_path, variant))
    controller = Controller.load(tmp_path / "controller")
    assert controller.knobs == ("g_lr", "r1_gamma")
    assert controller.card["hidden"] == ["scores"]
    other = cell(tmp_path, replace(variant, hidden=()))
    with pytest.raises(ValueError, match="was trained otherwise"):
        play_cell(other)


def test_smaller_moves_are_learned_with_and_played_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Any] = []
    monkeypatch.setattr("benchmarks.ablation_cells.play_batch", lambda batch: played.append(batch) or [])
    small = cell(tmp_path / "a", VARIANTS["factor_4"])
    play_cell(small)
    play_cell(cell(tmp_path / "b", VARIANTS[FULL]))
    (_, agent, _), _ = played[0].runs
    learned, plain = (Controller.load(tmp_path / name / "controller") for name in "ab")
    row = np.zeros(len(learned.mean), np.float32)
    np.testing.assert_allclose(
        agent.predict(row)[0], learned.predict(row)[0] * shares(DEFAULT_KNOBS, 4.0), rtol=1e-6
    )
    assert not np.array_equal(learned.std, plain.std)


def test_cells_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    one = cell(tmp_path, VARIANTS["decisions_10"])
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301


def rows_of(agent: str, env: str, qualities: list[list[float]], *, failed: int = 0) -> list[dict[str, Any]]:
    """Rows of `(seeds, instances)` qualities."""
    flat = [(s, i, quality) for s, own in enumerate(qualities) for i, quality in enumerate(own)]
    common = {"kernel": 0.5, "modes": 8, "modes20": 8, "hq": 0.9, "real_hq": 0.99}
    training = {"imitated": None, "total_timesteps": 10}
    return [
        {
            **common,
            **{"agent": agent, "env": env, "training_seed": s, "seed": i, "final_quality": quality},
            **{"failed": n < failed, "training": training},
        }
        for n, (s, i, quality) in enumerate(flat)
    ]


def test_differences_are_taken_on_the_same_instances() -> None:
    """Instances differ by far more than the variants, which the intervals of the differences do not show."""
    hard = [0.05 * i for i in range(8)]
    rows = rows_of(FULL, "GridGAN-v0", [hard, hard])
    rows += rows_of("no_time", "GridGAN-v0", [[q + 0.3 for q in hard[:6]]], failed=3)
    rows += rows_of(FULL, "RingGAN-v0", [[0.9] * 4, [0.9] * 4])
    rows += rows_of("no_time", "RingGAN-v0", [[0.8] * 4])
    summary = summarise(rows)
    grid, ring, both = (summary[env]["no_time"] for env in ("GridGAN-v0", "RingGAN-v0", ALL))
    np.testing.assert_allclose(grid["final_quality"]["difference"], [0.3] * 3, atol=1e-12)
    np.testing.assert_allclose(ring["final_quality"]["difference"], [-0.1] * 3, atol=1e-12)
    assert both["final_quality"]["difference"][0] == pytest.approx((6 * 0.3 - 4 * 0.1) / 10)
    low, high = grid["final_quality"]["mean"][1:]
    assert high - low > 0.1
    assert grid["failed"][0] == 0.5
    assert both["failed"][0] == 0.3
    assert (grid["n_seeds"], summary["GridGAN-v0"][FULL]["n_seeds"], both["n_instances"]) == (1, 2, 10)
    assert grid["hq_distance"]["mean"][0] == pytest.approx(0.09)
    table = to_table(summary, rows)
    assert "| no_time | without time | +0.300 [+0.300, +0.300] | -0.100 [-0.100, -0.100] |" in table
    assert QUESTIONS["moves"] not in table


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variants on GANs that are hardly trained."""
    for name, variant in VARIANTS.items():
        monkeypatch.setitem(VARIANTS, name, replace(variant, kwargs=TINY))


def ablate(out: Path, *flags: str) -> int:
    small = {"total_timesteps": 40, "n_envs": 1, "seeds": 1, "episodes": 2, "processes": 1}
    return main(["--out", str(out), *(f"--{name}={value}" for name, value in small.items()), *flags])


@pytest.mark.usefixtures("tiny")
def test_writes_four_files_and_does_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ablate(tmp_path, "--variants", "no_time", "factor_4") == 0
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"results.jsonl", "summary.json", "table.md", "plot.png", "controllers"}
    assert "without time" in capsys.readouterr().out
    first = (tmp_path / "results.jsonl").read_text()
    (tmp_path / "results.jsonl").write_text(first[:-20])  # as a killed process leaves it

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("benchmarks.ablation_cells.train", refuse)
    assert ablate(tmp_path, "--variants", "no_time", "factor_4", "--episodes", "3") == 0
    text = (tmp_path / "results.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    met = sorted((row["agent"], row["env"], row["seed"]) for row in rows)
    assert met == sorted(
        (agent, env, seed)
        for agent in (FULL, "no_time", "factor_4")
        for env in PLAYED_IN
        for seed in range(3)
    )
    instances = {(row["env"], row["seed"], row["instance"]) for row in rows}
    assert len(instances) == 6, "equal seeds are equal instances"
    wanted = "agent env seed instance final_quality best_quality modes modes20 hq end inner_steps failed"
    assert {*wanted.split(), "setting", "training_seed", "controller", "commit", "command"} <= set(rows[0])
    assert all(row["env_kwargs"]["instances"] == "validation" for row in rows)


@pytest.mark.usefixtures("tiny")
def test_results_of_another_recipe_are_not_mixed_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate(tmp_path, "--variants", "no_time") == 0
    capsys.readouterr()
    before = (tmp_path / "results.jsonl").read_text()
    assert ablate(tmp_path, "--variants", "no_losses", "--total_timesteps", "41") == 2
    assert "give another --out" in capsys.readouterr().err
    assert (tmp_path / "results.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--variants", "no_tme", "did you mean 'no_time'"),
        ("--imitated", "cosin", "did you mean 'cosine'"),
        ("--episodes", "0", "--episodes is 0; give a whole number >= 1"),
    ],
)
def test_what_is_wrong_is_one_line(
    flag: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ablate(tmp_path / "out", flag, value) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
