from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import pytest

import gan_gym

IDS = tuple(f"{name}-v0" for name in gan_gym.ENVIRONMENTS)
SMALL = {"inner_steps": 2, "batch_size": 4, "device": "cpu"}

Make = Callable[..., Any]


@pytest.fixture(params=IDS)
def env_id(request: pytest.FixtureRequest) -> str:
    """Every id in turn."""
    return str(request.param)


@pytest.fixture
def make() -> Iterator[Make]:
    """Make bare environments, `GridGAN-v0` by default, small enough for tests; they are closed at the end."""
    made: list[gym.Env[Any, Any]] = []

    def make_one(env_id: str = "GridGAN-v0", **kwargs: Any) -> Any:
        made.append(gym.make(env_id, **{**SMALL, **kwargs}))
        return made[-1].unwrapped

    yield make_one
    for env in made:
        env.close()
