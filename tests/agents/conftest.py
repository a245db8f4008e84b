from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecEnv

import gan_gym.envs.histogan
from agents import cli
from agents.algorithms import find
from agents.environments import discrete_actions
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.observations import names

N_KNOBS = len(DEFAULT_KNOBS)
EPISODE = 5


class ToyVecEnv(VecEnv):
    """All knobs have to go up where the first row of the observation is 1 and down where it is -1."""

    def __init__(self, algo: str, n_envs: int, seed: int = 0) -> None:
        n_rows = len(names(resolve(DEFAULT_KNOBS)))
        self.moves = discrete_actions(N_KNOBS) if find(algo).discrete else None
        self.target = 0.8 if self.moves is None else float(self.moves.max())
        box = gym.spaces.Box(-1.0, 1.0, (N_KNOBS,), np.float32)
        action_space = box if self.moves is None else gym.spaces.Discrete(len(self.moves))
        super().__init__(n_envs, gym.spaces.Box(-1.0, 1.0, (n_rows,), np.float32), action_space)
        self.rng = np.random.default_rng(seed)
        self.steps = np.zeros(n_envs, int)

    def observe(self) -> np.ndarray:
        rows = np.zeros((self.num_envs, *self.observation_space.shape), np.float32)
        rows[:, 0] = self.rng.choice([-1.0, 1.0], self.num_envs)
        self.seen = rows
        return rows.copy()

    def reset(self) -> np.ndarray:
        self.steps[:] = 0
        return self.observe()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions if self.moves is None else self.moves[actions]

    def step_wait(self) -> Any:
        rewards = self.reward(self.actions, self.seen[:, :1])
        self.steps += 1
        dones = self.steps >= EPISODE
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        observations = self.observe()
        for i in np.flatnonzero(dones):
            infos[i] = {"terminal_observation": observations[i].copy(), "TimeLimit.truncated": False}
            infos[i]["episode"] = {"r": float(rewards[i]), "l": EPISODE, "t": 0.0}
        self.steps[dones] = 0
        return observations, rewards.astype(np.float32), dones, infos

    def score(self, predict: Callable[..., Any]) -> float:
        """Mean reward of both situations, with fresh episodes."""
        total = 0.0
        for context in (-1.0, 1.0):
            row = np.zeros(self.observation_space.shape, np.float32)
            row[0] = context
            action, _ = predict(row)
            total += float(self.reward(action[None], np.array([[context]]))[0]) / 2
        return total

    def reward(self, actions: np.ndarray, context: np.ndarray) -> np.ndarray:
        """1 where every knob moves as it has to, 0.2 where none does."""
        return 1 - 0.8 * np.abs(actions / self.target - context).mean(1)

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        return [None for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [True for _ in self._get_indices(indices)]


@pytest.fixture
def toy() -> type[ToyVecEnv]:
    return ToyVecEnv


Gan_gym = Callable[..., int]


@pytest.fixture
def gan_gym_command(monkeypatch: pytest.MonkeyPatch) -> Gan_gym:
    """Run a command in this process, with fewer generated patches scored."""
    monkeypatch.setattr(gan_gym.envs.histogan, "N_SCORED", 16)
    return lambda *arguments: cli.main([str(argument) for argument in arguments])


@pytest.fixture
def train_quickly(gan_gym_command: Gan_gym, patch_folder: Path) -> Gan_gym:
    """Run `gan-gym train --out OUT` for ten blocks of two updates; further flags override."""
    small = {
        "--data": patch_folder, "--controller": "cosine", "--reward_model": "shipped", "--n_images": 160,
        "--batch_size": 8, "--inner_steps": 2, "--image_size": 16, "--evaluate": "false",
    }  # fmt: skip

    def train(out: Path, *flags: object, **changed: object) -> int:
        options = small | {f"--{name}": value for name, value in changed.items()}
        given = [part for pair in options.items() if pair[1] is not None for part in pair]
        return gan_gym_command("train", "--out", out, *given, *flags)

    return train
