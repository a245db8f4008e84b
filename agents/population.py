"""A population of GANs as a Stable-Baselines3 vector environment, in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from gan_gym.envs.snapshot import Snapshot
from gan_gym.envs.vector import GANVectorEnv

Moves = NDArray[np.float32]
"""`(m, k)` moves that the actions of a discrete algorithm stand for."""


@dataclass(frozen=True)
class PopulationState:
    """All that is needed to continue a population."""

    envs: Sequence[Snapshot]
    """One an environment."""
    returns: NDArray[np.float64]
    """Sums of the rewards of the episodes under way."""
    reset_infos: Sequence[dict[str, Any]]
    """Infos of the resets that began them."""


class PopulationVecEnv(VecEnv):
    """A population of GANs as an SB3 vector environment; finished episodes restart in the same step.

    Args:
        population: environment made by `gym.make_vec`.
        moves: what discrete actions stand for; `None` leaves actions continuous.
    """

    def __init__(self, population: GANVectorEnv, moves: Moves | None = None) -> None:
        self.population, self._moves = population, moves
        action_space: gym.Space[Any] = population.single_action_space
        super().__init__(
            population.num_envs,
            population.single_observation_space,
            action_space if moves is None else gym.spaces.Discrete(len(moves)),
        )
        self._returns = np.zeros(self.num_envs)

    def reset(self) -> VecEnvObs:
        """Start all GANs anew, with the seeds and options that were set."""
        seeds, options = self._seeds, self._options
        self._reset_seeds()
        self._reset_options()
        return self.start(seeds, options)

    def start(self, seeds: Sequence[int | None], options: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
        """Start all GANs anew, each with a seed and options of its own."""
        observations = []
        for i, (env, seed, own) in enumerate(zip(self.population.envs, seeds, options, strict=True)):
            env.problem_of(self.population.envs[0])
            observation, self.reset_infos[i] = env.reset(seed=seed, options=dict(own))
            observations.append(observation)
        self._returns[:] = 0
        return np.stack(observations)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`.

        Raises:
            ValueError: if they are not one for each GAN.
        """
        check_actions(actions, self.num_envs)
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

    def snapshot(self) -> PopulationState:
        """Return all that is needed to continue these GANs bit for bit (on the CPU)."""
        envs = [env.snapshot() for env in self.population.envs]
        return PopulationState(envs, self._returns.copy(), list(self.reset_infos))

    def restore(self, state: PopulationState) -> None:
        """Continue from the snapshot of a population with the same arguments."""
        for env, snapshot in zip(self.population.envs, state.envs, strict=True):
            env.problem_of(self.population.envs[0])
            env.restore(snapshot)
        self._returns[:] = state.returns
        self.reset_infos = list(state.reset_infos)

    def close(self) -> None:
        """Close the population."""
        self.population.close()

    def get_images(self) -> list[NDArray[np.uint8] | None]:
        """Return a frame of every environment; `None` where `render_mode` is."""
        return [env.render() for env in self.population.envs]

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


def make_population(
    env_id: str, n_envs: int, moves: Moves | None, kwargs: Mapping[str, Any]
) -> PopulationVecEnv:
    """Build a population in this process; `kwargs` are the environment's."""
    made = gym.make_vec(env_id, num_envs=n_envs, vectorization_mode="vector_entry_point", **kwargs)
    return PopulationVecEnv(cast(GANVectorEnv, made.unwrapped), moves)


def check_actions(actions: NDArray[Any], n_envs: int) -> None:
    """Check that there is one action for each environment.

    Raises:
        ValueError: if there is not.
    """
    if len(actions) != n_envs:
        raise ValueError(f"{len(actions)} actions for {n_envs} environments; give one for each")
