from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import Controller
from agents.controller import build_policy
from benchmarks.payoff import best_so_far, controller_course, main, overtakes, search_courses
from gan_gym.knobs import DEFAULT_KNOBS
from gan_gym.observations import OBSERVATIONS

RUN = 1000
"""Updates of a run of GridGAN-v0: 40 decisions of 25."""


def validation(search: str, spent: int, *qualities: float, **others: Any) -> dict[str, Any]:
    environments = [["GridGAN-v0", {}]]
    row = {"search": search, "instances": "validation", "spent": spent, "environments": environments}
    return {**row, "qualities": list(qualities), **others}


def card(*course: tuple[int, float], **others: Any) -> dict[str, Any]:
    rows = [{"timesteps": steps, "quality": {"GridGAN-v0": quality}} for steps, quality in course]
    return {"environment": "GridGAN-v0", "n_envs": 32, "validation": {"course": rows}, **others}


def test_a_search_is_worth_the_best_it_has_found() -> None:
    rows = [
        validation("a", 1000, 0.2, 0.4),
        validation("b", 500, 0.1, 0.1),
        validation("a", 2000, 0.1, 0.1),
        {**validation("a", 2500, 0.9), "instances": "train"},
        validation("a", 3000, 0.5, 0.5),
    ]
    assert search_courses(rows, "GridGAN-v0") == {
        "a": [[1000, pytest.approx(0.3)], [2000, pytest.approx(0.3)], [3000, 0.5]],
        "b": [[500, pytest.approx(0.1)]],
    }
    assert search_courses(rows, "RingGAN-v0") == {}


def test_of_environments_searched_together_each_has_its_own_course() -> None:
    environments = [["GridGAN-v0", {}], ["GridGAN-v0", {"spacing": 2.0}], ["RingGAN-v0", {}]]
    row = validation("a", 7, 0.1, 0.3, 0.6, 0.8, 0.0, 1.0, environments=environments)
    assert search_courses([row], "GridGAN-v0")["a"] == [[7, pytest.approx(0.2)]], "the first of that id"
    assert search_courses([row], "RingGAN-v0")["a"] == [[7, pytest.approx(0.5)]]


def test_a_controller_is_charged_all_of_its_training() -> None:
    course = (0, 0.1), (4000, 0.4), (8000, 0.3)
    searches = {"tuned_schedule": [[5_000, 0.1], [70_000, 0.3]], "tuned_constant": [[1, 0.0]]}
    plain = controller_course(card(*course), "GridGAN-v0", searches)
    assert plain == [[0, 0.1], [100_000, 0.4], [200_000, 0.4]]
    watched = 6400 * 25
    for imitated, before in (("update_ratio", watched), ("tuned_schedule", watched + 70_000)):
        learned = card(*course, imitated=imitated, imitated_timesteps=6400)
        charged = controller_course(learned, "GridGAN-v0", searches)
        assert [spent - before for spent, _ in charged] == [0, 100_000, 200_000]


def test_a_controller_that_was_never_validated_there_is_refused() -> None:
    for unknown in ({"environment": "GridGAN-v0", "n_envs": 1}, card((0, 0.1))):
        with pytest.raises(ValueError, match="was not validated on RingGAN-v0"):
            controller_course(unknown, "RingGAN-v0", {})


def test_the_best_so_far_never_falls() -> None:
    assert best_so_far([[3, 0.2], [1, 0.5], [5, 0.7]]) == [[1, 0.5], [3, 0.5], [5, 0.7]]


@pytest.mark.parametrize(
    ("course", "other", "expected"),
    [
        ([[10, 0.1], [20, 0.6]], [[5, 0.3], [30, 0.5]], 20),
        ([[10, 0.4], [20, 0.6]], [[5, 0.3], [15, 0.5]], 20),
        ([[10, 0.4]], [[5, 0.3], [30, 0.5]], None),
        ([[10, 0.6]], [[20, 0.5]], 10),
        ([[10, 0.5]], [[10, 0.5]], None),
    ],
    ids=["later", "for good", "only for a while", "at once", "a tie"],
)
def test_overtakes_where_it_goes_ahead_for_good(course: Any, other: Any, expected: int | None) -> None:
    assert overtakes(course, other) == expected


def test_writes_and_draws_what_it_read(tmp_path: Path) -> None:
    log = tmp_path / "tuned.jsonl"
    rows = [validation("tuned_schedule", 50_000, 0.2), validation("tuned_schedule", 90_000, 0.3)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    n_rows = len(OBSERVATIONS) + 2 * len(DEFAULT_KNOBS)
    for seed, quality in ((0, 0.5), (1, 0.25)):
        Controller(
            "ppo",
            build_policy("ppo", DEFAULT_KNOBS),
            DEFAULT_KNOBS,
            np.zeros(n_rows, np.float32),
            np.ones(n_rows, np.float32),
            card((0, 0.1), (4000, quality)),
        ).save(tmp_path / "mine" / f"seed_{seed}")
    arguments = [
        "--search",
        str(log),
        "--out",
        str(tmp_path / "out"),
        "--controllers",
        str(tmp_path / "mine"),
    ]
    assert main(arguments) == 0
    result = json.loads((tmp_path / "out" / "payoff.json").read_text())
    assert result["overtakes"] == {
        "mine, seed 0": {"tuned_schedule": 100_000},
        "mine, seed 1": {"tuned_schedule": None},
    }
    assert (tmp_path / "out" / "payoff.png").stat().st_size > 10_000


def test_a_log_of_other_environments_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "tuned.jsonl"
    log.write_text("")
    assert main(["--search", str(log), "--out", str(tmp_path / "out")]) == 2
    assert "holds no search on GridGAN-v0" in capsys.readouterr().err
