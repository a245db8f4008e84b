"""Train an algorithm on an environment and return it as a controller."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from tqdm import tqdm

from agents.acting import Rule
from agents.algorithms import Algorithm, find
from agents.baselines import make_baseline
from agents.controller import CLIP, Controller, policy_arguments
from agents.cores import usable_cores
from agents.environments import check_id, make_env
from agents.imitation import HYPERPARAMETERS, imitate
from agents.mixtures import MIXTURES, Share, shares_of
from agents.random_state import isolated_random_state
from agents.validation import KeepBest
from agents.workers import WorkersVecEnv
from gan_gym.envs.gan_env import GANEnv
from gan_gym.gan import family
from gan_gym.knobs import DEFAULT_KNOBS

logger = logging.getLogger(__name__)

MIN_ROLLOUTS = 10
"""Rollouts an algorithm is given at least, before environments are added."""
MIN_COMPILED = 50_000
"""Env steps from which updates are compiled: it takes half a minute, and saves a quarter of the time."""
MOST_ENVS = {"points": 32}
"""Environments that train together at most, by their GANs' family; as many as there are cores of others."""


class ProgressCallback(BaseCallback):
    """A progress bar with the mean final quality of recent episodes, and the same in TensorBoard."""

    def __init__(self, total_timesteps: int, show: bool) -> None:
        super().__init__()
        self.bar = tqdm(total=total_timesteps, unit="step", disable=not show, delay=2)
        self.ends: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        self.bar.update(self.training_env.num_envs)
        for info in self.locals.get("infos", ()):
            if info.get("end"):
                self.ends.append({key: info[key] for key in ("quality", "modes", "modes20", "hq")})
                recent = self.ends[-100:]
                for key in self.ends[-1]:
                    self.logger.record(f"episode/{key}", float(np.mean([end[key] for end in recent])))
                self.logger.record("episode/diverged", float(info["diverged"]))
                self.bar.set_postfix(quality=f"{np.mean([end['quality'] for end in recent]):.3f}")
        return True

    def _on_training_end(self) -> None:
        self.bar.close()


def fitting_defaults(algorithm: Algorithm, n_envs: int) -> dict[str, Any]:
    """Return an algorithm's defaults; batches are made to divide the rollouts of `n_envs` environments."""
    defaults = dict(algorithm.defaults)
    if "n_steps" in defaults and "batch_size" in defaults:
        n = defaults["n_steps"] * n_envs
        defaults["batch_size"] = max(size for size in range(1, defaults["batch_size"] + 1) if n % size == 0)
    return defaults


def n_envs_that_fit(networks: str, n_steps: int | None, total_timesteps: int) -> int:
    """Return in how many environments an algorithm trains fast and learns well.

    They are as many as make the most of this machine, for algorithms that learn from rollouts of all of
    them, of which there must be enough; one for those that learn after every step of every environment, and
    would learn less often from more.

    Args:
        networks: name of the GANs' networks.
        n_steps: env steps of a rollout in each environment; `None` for algorithms without rollouts.
        total_timesteps: env steps in all.
    """
    if n_steps is None:
        return 1
    most = MOST_ENVS.get(family(networks), usable_cores())
    return max(1, min(most, total_timesteps // (MIN_ROLLOUTS * n_steps)))


def worth_compiling(networks: str, n_envs: int, total_timesteps: int) -> bool:
    """Return whether compiled updates of these GANs save more time than compiling takes.

    Args:
        networks: name of the GANs' networks; convolutions gain nothing on a CPU.
        n_envs: number of environments; a single one would compile anew for every episode's GAN.
        total_timesteps: env steps in all.
    """
    has_compiler = shutil.which(os.environ.get("CXX", "g++")) is not None
    return family(networks) == "points" and n_envs > 1 and total_timesteps >= MIN_COMPILED and has_compiler


def train(
    algo: str,
    id: str | VecEnv,
    total_timesteps: int,
    *,
    n_envs: int | None = None,
    n_processes: int | None = None,
    seed: int = 0,
    log_dir: str | Path | None = None,
    progress: bool = False,
    env_kwargs: dict[str, Any] | None = None,
    imitated: str | None = None,
    validated: bool = False,
    **hyperparameters: Any,
) -> Controller:
    """Train an algorithm and return its policy.

    Observations and rewards are normalised by running statistics; the controller keeps the former. The
    learning rate of algorithms that have one falls linearly to a tenth.

    Args:
        algo: a name in `ALGOS`.
        id: one of this package's ids, a name in `MIXTURES`, or a vector environment made by `make_env`.
        total_timesteps: env steps in all, summed over the environments.
        n_envs: number of environments where `id` is an id; `None` as many as train fast and learn well
            (`n_envs_that_fit`), and those of a mixture.
        n_processes: how many processes train their GANs; see `make_env`.
        seed: seed of the algorithm and its environments.
        log_dir: folder for TensorBoard; `None` logs nothing.
        progress: whether to show a progress bar.
        env_kwargs: arguments of the environment where `id` is a name; unless given, `instances="train"`, and
            `compile=True` where that saves time (`worth_compiling`).
        imitated: name of a baseline whose moves the policy begins with (`agents.imitation`); `None` begins
            at random.
        validated: whether to try the policy on validation instances as it learns, and return the best one
            (`agents.validation`) rather than the last; where `id` is a name.
        hyperparameters: override the algorithm's defaults.

    Raises:
        ValueError: if a name is unknown or an argument out of range.
    """
    algorithm = find(algo)
    if not isinstance(total_timesteps, int) or total_timesteps < 1:
        raise ValueError(f"total_timesteps is {total_timesteps!r}; give a whole number >= 1")
    rule: Rule | None = None
    if imitated is not None:
        found = make_baseline(imitated)
        rule = found if isinstance(found, Rule) else None
        if rule is None or "clip_range" not in inspect.signature(algorithm.load()).parameters:
            raise ValueError(
                f"{algo} cannot imitate '{imitated}': the algorithm must be ppo, the baseline must set knobs"
            )
    if validated and not isinstance(id, str):
        raise ValueError("validated needs the name of an environment; leave it out for one made before")
    arguments = {"instances": "train", **(env_kwargs or {})}
    knobs = tuple(arguments.get("knobs", DEFAULT_KNOBS))
    shares: tuple[Share, ...] = ()
    with ExitStack() as stack:
        if isinstance(id, str):
            first = shares_of(id, None, arguments)[0]
            trial = gym.make(check_id(first.id), **first.kwargs).unwrapped
            assert isinstance(trial, GANEnv)
            if n_envs is None and id not in MIXTURES:
                n_steps = hyperparameters.get("n_steps", algorithm.defaults.get("n_steps"))
                n_envs = n_envs_that_fit(trial.networks, n_steps, total_timesteps)
            worth_it = worth_compiling(trial.networks, n_envs or first.n_envs, total_timesteps)
            arguments.setdefault("compile", worth_it)
            shares = shares_of(id, n_envs, arguments)
            vector = make_env(id, algo, n_envs, seed=seed, n_processes=n_processes, **arguments)
            stack.callback(vector.close)  # its processes end also where training fails
        else:
            vector = id
        settings = {
            **fitting_defaults(algorithm, vector.num_envs),
            **({} if rule is None else HYPERPARAMETERS),
            **hyperparameters,
        }
        if "learning_rate" in settings and not callable(settings["learning_rate"]):
            start = float(settings["learning_rate"])
            settings["learning_rate"] = lambda remaining: start * (0.1 + 0.9 * remaining)
        normalised = VecNormalize(vector, gamma=settings.get("gamma", 1.0), clip_obs=CLIP)
        stack.enter_context(isolated_random_state())
        model = algorithm.load()(
            algorithm.policy,
            normalised,
            policy_kwargs=policy_arguments(algo),
            seed=seed,
            device="cpu",
            **settings,
        )
        if rule is not None:
            policy = cast(ActorCriticPolicy, model.policy)
            error = imitate(policy, rule, normalised, gamma=settings["gamma"], seed=seed, progress=progress)
            logger.info("imitates %s to an RMS error of %.3f a move", imitated, error)
        if log_dir is not None:
            model.set_logger(configure(str(log_dir), ["tensorboard"]))
        card = {
            "algo": algo,
            "environment": id if isinstance(id, str) else "custom",
            "total_timesteps": total_timesteps,
            "n_envs": vector.num_envs,
            "n_processes": len(vector.links) if isinstance(vector, WorkersVecEnv) else 1,
            "seed": seed,
            "env_kwargs": arguments,
            "imitated": imitated,
        }

        def current() -> Controller:
            return Controller.learned(algo, model, normalised, knobs, card)

        callbacks: list[BaseCallback] = [ProgressCallback(total_timesteps, progress)]
        if not validated:
            model.learn(total_timesteps, callback=callbacks)
            return current()
        keep_best = KeepBest(shares, total_timesteps, current)
        model.learn(total_timesteps, callback=[*callbacks, keep_best])
        assert keep_best.best is not None
        controller = keep_best.best
        controller.card["validation"] = {
            "chosen": keep_best.chosen.timesteps,
            "course": [validation.as_dict() for validation in keep_best.course],
        }
        return controller
