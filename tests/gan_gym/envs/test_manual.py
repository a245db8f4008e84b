"""The class docstring is the manual: its tables are those of the code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.points import GridGANEnv
from gan_gym.gan import Statistics
from gan_gym.knobs import KNOBS
from gan_gym.observations import OBSERVATIONS

Make = Callable[..., Any]
MANUAL = GANEnv.__doc__ or ""


def _table(section: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    body = MANUAL.split(f"## {section}\n")[1].split("## ")[0]
    lines = [line.strip() for line in body.splitlines() if line.strip().startswith("|")]
    n_columns = lines[0].count("|") - 1
    rows = [line.removeprefix("| ").removesuffix(" |").split(" | ", n_columns - 1) for line in lines[2:]]
    assert all(len(row) == n_columns for row in rows)
    return rows


def test_sections_are_gymnasiums_in_gymnasiums_order() -> None:
    expected = [
        "Description",
        "Action Space",
        "Observation Space",
        "Rewards",
        "Starting State",
        "Episode End",
    ]
    expected += ["Information", "Arguments", "References", "Version History"]
    found = [line.strip()[3:] for line in MANUAL.splitlines() if line.strip().startswith("## ")]
    assert found == expected


def test_knob_table() -> None:
    rows = [
        [
            knob.name + " *" * knob.can_be_off,
            f"{knob.low:g}",
            f"{knob.high:g}",
            f"{knob.max_factor:g}",
            knob.meaning,
        ]
        for knob in KNOBS.values()
    ]
    assert _table("Action Space") == rows


def test_observation_table() -> None:
    rows = [[str(i), row.name, "-1", "1", row.meaning] for i, row in enumerate(OBSERVATIONS)]
    assert _table("Observation Space") == rows


def test_spaces(env_id: str, make: Make) -> None:
    env = make(env_id)
    for section, space in (("Action", env.action_space), ("Observation", env.observation_space)):
        body = MANUAL.split(f"## {section} Space\n")[1]
        assert body.lstrip().startswith(f"`{space!r}`")


def test_information_names_every_key(make: Make) -> None:
    """One by one, or by rule: all settings, all statistics, all reward terms."""
    _, info = make().reset(seed=0)
    body = MANUAL.split("## Information\n")[1].split("## ")[0]
    by_rule = {*KNOBS, *Statistics.__dataclass_fields__, "reward_quality", "reward_divergence"}
    assert all(f"`{key}`" in body for key in set(info) - by_rule)
    assert by_rule <= set(info)


@pytest.mark.parametrize("section", ["Description", "Arguments", "References", "Version History"])
def test_each_environment_has_its_own_sections(env_id: str, make: Make, section: str) -> None:
    assert f"## {section}" in type(make(env_id)).__doc__


def test_arguments_are_documented_with_their_defaults(env_id: str, make: Make) -> None:
    cls = type(make(env_id))
    manual = " ".join(cls.__doc__.split())
    if "the others as in `GridGANEnv`" in manual:
        manual += " ".join((GridGANEnv.__doc__ or "").split())
    for name, parameter in inspect.signature(cls).parameters.items():
        default = str(list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default)
        default = default.replace("'", '"').replace("[", "(").replace("]", ")")
        if isinstance(parameter.default, str):
            default = f'"{default}"'
        assert f"`{name}={default}`" in manual
