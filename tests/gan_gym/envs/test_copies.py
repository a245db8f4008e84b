"""A deep copy of an environment steps as the original does, and apart from it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

Make = Callable[..., Any]
SMALL = {"inner_steps": 2, "batch_size": 4, "device": "cpu"}


def _equal(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return np.array_equal(left[0], right[0]) and left[1:] == right[1:]


def test_a_deep_copy_steps_as_the_original_and_apart_from_it(env_id: str, make: Make) -> None:
    env = make(env_id, instances="train", episode_steps=2)
    env.reset(seed=3)
    action = np.full(env.action_space.shape, 0.3, np.float32)
    env.step(action)
    twin, kept = copy.deepcopy(env), copy.deepcopy(env)
    before = env.trainer.g.vector.detach().clone()
    assert _equal(twin.step(action), env.step(action))
    assert not np.array_equal(env.trainer.g.vector.detach(), before)
    assert np.array_equal(kept.trainer.g.vector.detach(), before)
    assert _equal(twin.reset(), env.reset())  # the next instance comes from the same generator
    assert _equal(twin.step(action), env.step(action))
    assert kept.current()[1]["env_step"] == 1


def test_a_deep_copy_of_a_vector_steps_as_the_original() -> None:
    vector = gym.make_vec("GridGAN-v0", num_envs=3, vectorization_mode="vector_entry_point", **SMALL)
    vector.reset(seed=0)
    actions = np.zeros(vector.action_space.shape, np.float32)
    vector.step(actions)
    twin = copy.deepcopy(vector)
    for _ in range(2):
        (ours, *_, info), (theirs, *_, their_info) = twin.step(actions), vector.step(actions)
        assert np.array_equal(ours, theirs)
        assert all(np.array_equal(info[key], their_info[key]) for key in their_info)
