"""Build the environments an algorithm learns in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import DiscretizeAction
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

import gan_gym
from agents.algorithms import find
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.names import unknown

logger = logging.getLogger(__name__)

N_BINS = 3
"""Moves a knob has where an algorithm needs discrete actions: down, keep, up."""


def check_id(env_id: str) -> str:
    """Return `env_id` as `gym.make` takes it in any process.

    Raises:
        ValueError: if it is none of this package's environments.
    """
    name = env_id.removeprefix("gan_gym:")
    known = [f"{environment}-v0" for environment in gan_gym.ENVIRONMENTS]
    if name not in known:
        raise ValueError(unknown(env_id, known, "environment"))
    return f"gan_gym:{name}"


def discrete_actions(n_knobs: int) -> NDArray[np.float32]:
    """Return the `(N_BINS ** n_knobs, n_knobs)` moves that the actions of a discrete algorithm stand for."""
    space = gym.spaces.Box(-1.0, 1.0, (n_knobs,), np.float32)

    class _Moves(gym.Env[Any, Any]):
        action_space = space
        observation_space = space

    wrapper = DiscretizeAction(_Moves(), N_BINS)
    moves = [wrapper.action(index) for index in range(N_BINS**n_knobs)]  # type: ignore[no-untyped-call]
    return np.array(moves, dtype=np.float32)


def _builder(
    env_id: str, discrete: bool, threads: int | None, kwargs: Mapping[str, Any]
) -> Callable[[], gym.Env[Any, Any]]:
    def build() -> gym.Env[Any, Any]:
        if threads is not None:
            torch.set_num_threads(threads)
        env = gym.make(env_id, **kwargs)
        return Monitor(DiscretizeAction(env, N_BINS) if discrete else env)

    return build


class PopulationVecEnv(VecEnv):
    """A population of GANs as an SB3 vector environment; finished episodes restart in the same step.

    Args:
        population: environment made by `gym.make_vec`.
        discrete: whether actions are indices into `discrete_actions`.
    """

    def __init__(self, population: GANVectorEnv, discrete: bool = False) -> None:
        self.population = population
        self._moves = discrete_actions(len(population.envs[0].knobs)) if discrete else None
        action_space: gym.Space[Any] = population.single_action_space
        super().__init__(
            population.num_envs,
            population.single_observation_space,
            action_space if self._moves is None else gym.spaces.Discrete(len(self._moves)),
        )
        self._returns = np.zeros(self.num_envs)

    def reset(self) -> VecEnvObs:
        """Start all GANs anew, with the seeds and options that were set."""
        observations = [
            env.reset(seed=seed, options=options)[0]
            for env, seed, options in zip(self.population.envs, self._seeds, self._options, strict=True)
        ]
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0
        return np.stack(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions if self._moves is None else self._moves[actions]

    def step_wait(self) -> VecEnvStepReturn:
        """Train all GANs for one env step."""
        observations, rewards, dones, infos = self.population.step_envs(self._actions)
        self._returns += rewards
        for i in np.flatnonzero(dones):
            infos[i] |= {
                "terminal_observation": observations[i].copy(),
                "TimeLimit.truncated": False,
                "episode": {"r": float(self._returns[i]), "l": infos[i]["env_step"], "t": 0.0},
            }
            self._returns[i] = 0
            observations[i], self.reset_infos[i] = self.population.envs[i].reset()
        return observations, rewards.astype(np.float32), dones, infos

    def close(self) -> None:
        """Close the population."""
        self.population.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the environments."""
        return [getattr(self.population.envs[i], attr_name) for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the environments."""
        for i in self._get_indices(indices):
            setattr(self.population.envs[i], attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the environments."""
        return [
            getattr(self.population.envs[i], method_name)(*args, **kwargs) for i in self._get_indices(indices)
        ]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Say that no environment is wrapped, except that episodes are monitored."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]


def make_env(id: str, algo: str, n_envs: int = 1, *, seed: int = 0, **kwargs: Any) -> VecEnv:
    """Build a vector environment whose spaces suit an algorithm.

    MLP GANs are trained as one population in this process; of the others, several run in a process each, on
    one thread each, so that they do not compete for the cores. Which form was chosen is logged.

    Args:
        id: one of this package's ids.
        algo: a name in `ALGOS`.
        n_envs: number of environments.
        seed: environment i starts with `seed + i`.
        kwargs: arguments of the environment.

    Raises:
        ValueError: if a name is unknown or an argument out of range.
    """
    algorithm, env_id = find(algo), check_id(id)
    if not isinstance(n_envs, int) or n_envs < 1:
        raise ValueError(f"n_envs is {n_envs!r}; give a whole number >= 1")
    trial = gym.make(env_id, **kwargs).unwrapped  # wrong arguments raise here, not in a worker
    assert isinstance(trial, GANEnv)
    if n_envs == 1:
        logger.info("1 environment in this process")
        vector: VecEnv = DummyVecEnv([_builder(env_id, algorithm.discrete, None, kwargs)])
    elif trial.networks == "mlp":
        logger.info("%d GANs trained as one population in this process", n_envs)
        population = gym.make_vec(env_id, num_envs=n_envs, vectorization_mode="vector_entry_point", **kwargs)
        vector = PopulationVecEnv(cast(GANVectorEnv, population.unwrapped), algorithm.discrete)
    else:
        logger.info("%d environments in a process each", n_envs)
        build = _builder(env_id, algorithm.discrete, 1, kwargs)
        vector = SubprocVecEnv([build] * n_envs, start_method="forkserver")
    vector.seed(seed)
    return vector
