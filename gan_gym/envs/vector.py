"""The vector forms of the environments: n GANs trained as one population where their networks allow it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gan_gym.envs.digits import StackedDigitsGANEnv
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.points import GridGANEnv, RingGANEnv
from gan_gym.envs.scoring import Score, score_gans
from gan_gym.gan import GANTrainer
from gan_gym.gan.population import Population, why_in_turn
from gan_gym.observations import names

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]


class GANVectorEnv(VectorEnv[Array, Array, NDArray[Any]]):
    """`num_envs` environments of one class whose GANs are trained together.

    Each has its own knobs, seed and instance; data and reward model are shared. MLP GANs are trained as one
    batched computation (`gan.population`), and on a GPU all are; convolutional ones on a CPU, which gain
    nothing from it, and networks that take no stacked weights in turn. Results equal those of single
    environments within float tolerance. An episode that has ended restarts at the next step
    (`AutoresetMode.NEXT_STEP`), whose action is ignored.

    Args:
        num_envs: number of GANs.
        kwargs: arguments of the environment class.
    """

    env_class: ClassVar[type[GANEnv]]
    metadata: ClassVar[dict[str, Any]] = {**GANEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}  # type: ignore[misc]

    def __init__(self, num_envs: int = 1, **kwargs: Any) -> None:
        if not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs!r}; give a whole number >= 1")
        self._hold([self.env_class(**kwargs) for _ in range(num_envs)])

    @classmethod
    def of(cls, envs: Sequence[GANEnv]) -> Self:
        """Return environments that exist already, of equal arguments, as they are."""
        vector = cls.__new__(cls)
        vector._hold(list(envs))
        return vector

    def _hold(self, envs: list[GANEnv]) -> None:
        self.envs, self.num_envs, first = envs, len(envs), envs[0]
        self.render_mode = first.render_mode
        self.single_observation_space, self.single_action_space = first.observation_space, first.action_space
        self._shape = (self.num_envs, len(names(first.knobs)))
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._populations: dict[bool, Population] = {}
        """Kept between env steps: of all GANs, and of those that went on when others started anew."""
        self._said_fallback = False

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle is made of: all but the populations, which are made anew."""
        return {**self.__dict__, "_populations": {}}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start GANs anew.

        Args:
            seed: one seed an environment, or `s` for `s`, `s + 1`, ...; `None` continues their generators.
            options: as in `GANEnv.reset`; `"reset_mask"`, `(n,)` bools, leaves the others where they are.
                After a `"snapshot"`, later episodes differ only if seeds are given.

        Raises:
            ValueError: if the seeds or the mask are not one an environment, or an option is wrong.
            gymnasium.error.ResetNeeded: if the mask leaves out an environment that was never reset; nothing
                has changed then.
        """
        if seed is None or isinstance(seed, int):
            seeds = [None if seed is None else seed + i for i in range(self.num_envs)]
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed names {len(seeds)} seeds for {self.num_envs} environments; give one for each"
            )
        options = dict(options or {})
        mask = np.asarray(options.pop("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"reset_mask is {mask.dtype} of shape {mask.shape}; give {self.num_envs} bools")
        kept = {i: env.current() for i, env in enumerate(self.envs) if not mask[i]}
        observations = np.zeros(self._shape, np.float32)
        infos: dict[str, Any] = {}
        for i, (env, own_seed) in enumerate(zip(self.envs, seeds, strict=True)):
            if mask[i]:
                env.problem_of(self.envs[0])
                observations[i], info = env.reset(seed=own_seed, options=options)
                self._ended[i] = False
            else:
                observations[i], info = kept[i]
            infos = self._add_info(infos, info, i)
        return observations, infos

    def step(
        self, actions: Array
    ) -> tuple[Array, NDArray[Any], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Turn all knobs and train all GANs; those whose episode has ended start anew instead."""
        observations, rewards, terminated, all_infos = self.step_envs(actions, ~self._ended)
        infos: dict[str, Any] = {}
        for i, env in enumerate(self.envs):
            if self._ended[i]:
                observations[i], all_infos[i] = env.reset()
            infos = self._add_info(infos, all_infos[i], i)
        self._ended = terminated.copy()
        return observations, rewards, terminated, np.zeros(self.num_envs, np.bool_), infos

    def step_envs(
        self, actions: Array, mask: NDArray[np.bool_] | None = None
    ) -> tuple[Array, NDArray[Any], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step the environments in `mask` (all of them without one), restarting none.

        Returns:
            Observations `(n, rows)`, rewards `(n,)`, ends `(n,)` and one info an environment; zeros and an
            empty info where the mask is off.

        Raises:
            ValueError: if there is not one action an environment, or one is not in the action space; nothing
                has changed then.
            gymnasium.error.ResetNeeded: before the first reset, and if an episode has ended; nor then.
        """
        if len(actions) != self.num_envs:
            raise ValueError(f"{len(actions)} actions for {self.num_envs} environments; give one for each")
        chosen = np.flatnonzero(np.ones(self.num_envs, np.bool_) if mask is None else mask)
        envs = [self.envs[i] for i in chosen]
        turned = [self.envs[i].turned(actions[i]) for i in chosen]  # raises before the first knob is turned
        for i, values in zip(chosen, turned, strict=True):
            self.envs[i].turn_to(values, actions[i])
        scores = self._train(envs) if envs else []
        observations = np.zeros(self._shape, np.float32)
        rewards: NDArray[Any] = np.zeros(self.num_envs)
        terminated: NDArray[np.bool_] = np.zeros(self.num_envs, np.bool_)
        infos: list[dict[str, Any]] = [{} for _ in self.envs]
        for i, env, score in zip(chosen, envs, scores, strict=True):
            observations[i], rewards[i], terminated[i], _, infos[i] = env.finish(score)
        return observations, rewards, terminated, infos

    def _train(self, envs: list[GANEnv]) -> list[Score]:
        """Train the GANs for one env step and score them."""
        trainers = [env.trainer for env in envs]
        population = self._population(trainers)
        if population is not None:
            population.train(trainers, envs[0].inner_steps)
        else:
            for trainer in trainers:
                trainer.train(envs[0].inner_steps)
        return score_gans(envs[0].problem, trainers, [env.latents for env in envs], population)

    def _population(self, trainers: list[GANTrainer]) -> Population | None:
        """Return what trains these GANs together; `None` if they are trained one after the other."""
        if len(trainers) == 1:
            return None
        if reason := why_in_turn(trainers):
            if not self._said_fallback:
                logger.info("these GANs are trained in turn: %s", reason)
                self._said_fallback = True
            return None
        whole = len(trainers) == self.num_envs
        population = self._populations.get(whole)
        if population is None or not population.fits(trainers):
            population = self._populations[whole] = Population(trainers)
        return population

    def render(self) -> tuple[Any, ...] | None:
        """Return one frame an environment."""
        return tuple(env.render() for env in self.envs) if self.render_mode else None

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method, or read an attribute, of every environment."""
        values = [getattr(env, name) for env in self.envs]
        return tuple(value(*args, **kwargs) if callable(value) else value for value in values)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Read an attribute of every environment; a method is called, as by Gymnasium's own vectors."""
        return self.call(name)

    def set_attr(self, name: str, values: list[Any] | tuple[Any, ...] | Any) -> None:
        """Set an attribute of every environment.

        Args:
            name: of the attribute.
            values: a list or tuple of one value an environment, or one value for all.

        Raises:
            ValueError: if a list or tuple has another length.
        """
        own = values if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(own) != self.num_envs:
            raise ValueError(
                f"{len(own)} values of {name} for {self.num_envs} environments; give one for each"
            )
        for env, value in zip(self.envs, own, strict=True):
            setattr(env, name, value)


class HistoGANVectorEnv(GANVectorEnv):
    """`HistoGAN-v0` in vector form."""

    env_class = HistoGANEnv


class GridGANVectorEnv(GANVectorEnv):
    """`GridGAN-v0` in vector form."""

    env_class = GridGANEnv


class RingGANVectorEnv(GANVectorEnv):
    """`RingGAN-v0` in vector form."""

    env_class = RingGANEnv


class StackedDigitsGANVectorEnv(GANVectorEnv):
    """`StackedDigitsGAN-v0` in vector form."""

    env_class = StackedDigitsGANEnv
