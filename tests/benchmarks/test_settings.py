from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

import gan_gym
from benchmarks.settings import PUBLISHED_STEPS, SETTINGS, arguments
from gan_gym.instances import INSTANCES

IDS = [f"{name}-v0" for name in gan_gym.ENVIRONMENTS]
OWN = {"instances": "test"}
CASES = [(name, env) for name, setting in SETTINGS.items() for env in setting.by_env or IDS]


def made(name: str, env: str, **others: Any) -> Any:
    return gym.make(env, **arguments(name, env, OWN, **others)).unwrapped


@pytest.mark.parametrize(("name", "env"), CASES)
def test_every_setting_makes_its_environments(name: str, env: str) -> None:
    changed = made(name, env)
    assert changed.instances in INSTANCES
    assert changed.instances not in ("train", "default"), "agents are judged on what they never saw"
    plain = gym.make(env, **OWN).unwrapped
    assert (name == "default") == (changed._arguments() == plain._arguments())


def test_the_published_protocol_is_that_of_the_paper() -> None:
    grid, ring = (made("pacgan", env, fraction=0.01) for env in ("GridGAN-v0", "RingGAN-v0"))
    assert grid.inner_steps * grid.episode_steps == PUBLISHED_STEPS // 100
    assert grid.networks == ring.networks == "pacgan"
    assert grid.config.batch_size == 100
    spread = grid.problem.source.centres
    assert (spread[1] - spread[0]).norm() == 2
    assert (grid.problem.source.std, ring.problem.source.std) == (0.05, 0.01)


def test_longer_runs_are_longer() -> None:
    plain = gym.make("GridGAN-v0").unwrapped
    longer, more = (made(name, "GridGAN-v0") for name in ("longer", "more_decisions"))
    assert (longer.inner_steps, longer.episode_steps) == (4 * plain.inner_steps, plain.episode_steps)
    assert (more.inner_steps, more.episode_steps) == (plain.inner_steps, 4 * plain.episode_steps)


def test_arguments_of_the_users_own_are_kept_where_a_setting_says_nothing() -> None:
    own = {"instances": "test", "std": 0.1, "inner_steps": 3}
    assert arguments("edge", "GridGAN-v0", own) == {"instances": "edge", "std": 0.1, "inner_steps": 3}
    assert arguments("longer", "GridGAN-v0", own) == {**own, "inner_steps": 12}


@pytest.mark.parametrize("fraction", [0.0, 1.5, 1e-9])
def test_a_fraction_is_a_share_of_a_whole_run(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction is"):
        arguments("pacgan", "GridGAN-v0", OWN, fraction)
