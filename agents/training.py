"""Train an algorithm on an environment and return it as a controller."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.acting import Rule
from agents.algorithms import Algorithm, find
from agents.baselines import make_baseline
from agents.controller import CLIP, Controller, policy_arguments
from agents.environments import make_env, make_one
from agents.hiding import hidden_rows, hide
from agents.imitation import HYPERPARAMETERS, N_EPISODES_IN_ALL, check_can_imitate, imitate
from agents.legs import Legs
from agents.mixtures import MIXTURES, Share, shares_of
from agents.random_state import isolated_random_state
from agents.remote import Placement
from agents.sizing import fitting_defaults, n_envs_that_fit, worth_compiling
from agents.training_checkpoints import TrainingCheckpoints
from agents.validation import KeepBest, validated_every
from agents.workers import WorkersVecEnv
from gan_gym.knobs import DEFAULT_KNOBS, Knob, resolve

logger = logging.getLogger(__name__)

N_RECENT = 100
"""Episodes, at least, that the progress bar shows the mean of."""


class ProgressCallback(BaseCallback):
    """A progress bar with the mean final quality of recent episodes, and the same in TensorBoard."""

    def __init__(self, total_timesteps: int, n_done: int, show: bool) -> None:
        super().__init__()
        self.bar = tqdm(total=total_timesteps, initial=n_done, unit="step", disable=not show, delay=2)
        self.ends: list[dict[str, float]] = []

    def _on_step(self) -> bool:
        self.bar.update(self.training_env.num_envs)
        for info in self.locals.get("infos", ()):
            if info.get("end"):
                self.ends.append({key: info[key] for key in ("quality", "modes", "modes20", "hq")})
                n_envs = self.training_env.num_envs
                recent = self.ends[-math.ceil(N_RECENT / n_envs) * n_envs :]  # all kinds of a mixture alike
                for key in self.ends[-1]:
                    self.logger.record(f"episode/{key}", float(np.mean([end[key] for end in recent])))
                self.logger.record("episode/diverged", float(info["diverged"]))
                self.bar.set_postfix(quality=f"{np.mean([end['quality'] for end in recent]):.3f}")
        return True

    def _on_training_end(self) -> None:
        self.bar.close()


def _demonstrator(imitated: str | Rule | None, algo: str) -> Rule | None:
    """Return the rule to imitate.

    Raises:
        ValueError: if the algorithm cannot imitate, or the baseline sets no knobs.
    """
    if imitated is None:
        return None
    check_can_imitate(algo)
    agent = make_baseline(imitated) if isinstance(imitated, str) else imitated
    if not isinstance(agent, Rule):
        raise ValueError(f"{algo} cannot imitate '{imitated}': the baseline must set knobs")
    return agent


def train(
    algo: str,
    id: str | VecEnv,
    total_timesteps: int,
    *,
    n_envs: int | None = None,
    n_processes: int | None = None,
    remote: str | None = None,
    placement: Placement | None = None,
    seed: int = 0,
    log_dir: str | Path | None = None,
    progress: bool = False,
    env_kwargs: dict[str, Any] | None = None,
    imitated: str | Rule | None = None,
    validated: bool = False,
    checkpoints: Path | None = None,
    hidden: Sequence[str] = (),
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
        remote: a Ray cluster whose machines train the GANs; see `make_env`.
        placement: what each remote worker is given.
        seed: seed of the algorithm and its environments.
        log_dir: folder for TensorBoard; `None` logs nothing.
        progress: whether to show a progress bar.
        env_kwargs: arguments of the environment where `id` is a name; unless given, `instances="train"`, and
            `compile=True` where that saves time (`worth_compiling`). Where the environments are there
            already, what the controller's card says of them.
        imitated: a rule, or the name of a baseline, whose moves the policy begins with
            (`agents.imitation`); `None` begins at random.
        validated: whether to try the policy on validation instances as it learns, and return the best one
            (`agents.validation`) rather than the last, stopping once it has not improved for long; where `id`
            is a name.
        checkpoints: folder to keep checkpoints in, and to go on from; the training ends as an undisturbed
            one. Algorithms that do not learn from rollouts begin anew.
        hidden: groups of rows (`gan_gym.observations.GROUPS`) that are hidden from the agent, and from the
            controller whatever it is shown.
        hyperparameters: override the algorithm's defaults.

    Raises:
        ValueError: if a name is unknown or an argument out of range.
    """
    algorithm = find(algo)
    if not isinstance(total_timesteps, int) or total_timesteps < 1:
        raise ValueError(f"total_timesteps is {total_timesteps!r}; give a whole number >= 1")
    rule = _demonstrator(imitated, algo)
    if validated and not isinstance(id, str):
        raise ValueError("validated needs the name of an environment; leave it out for one made before")
    arguments = {**({"instances": "train"} if isinstance(id, str) else {}), **(env_kwargs or {})}
    with ExitStack() as stack:
        if isinstance(id, str):
            n_steps = hyperparameters.get("n_steps", algorithm.defaults.get("n_steps"))
            shares = _shares(id, n_envs, n_steps, total_timesteps, arguments)
            n_envs = None if id in MIXTURES else shares[0].n_envs
            vector = make_env(
                id,
                algo,
                n_envs,
                seed=seed,
                n_processes=n_processes,
                remote=remote,
                placement=placement,
                **arguments,
            )
            stack.callback(vector.close)  # its processes end also where training fails
        else:
            vector, shares = id, ()
        knobs = _knobs(vector, arguments)
        rows = hidden_rows(hidden, knobs)
        exploration = algorithm.exploration(len(knobs))
        settings = exploration | _settings(algorithm, vector.num_envs, rule, hyperparameters)
        normalised = VecNormalize(vector, gamma=settings.get("gamma", 1.0), clip_obs=CLIP)
        hide(normalised, rows)
        stack.enter_context(isolated_random_state())
        model = algorithm.load()(
            algorithm.policy,
            normalised,
            policy_kwargs=policy_arguments(algo),
            seed=seed,
            device="cpu",
            **settings,
        )
        card = {
            "algo": algo,
            "environment": id if isinstance(id, str) else "custom",
            "total_timesteps": total_timesteps,
            "n_envs": vector.num_envs,
            "n_processes": len(vector.links) if isinstance(vector, WorkersVecEnv) else 1,
            "seed": seed,
            "env_kwargs": arguments,
            "imitated": imitated if isinstance(imitated, str | None) else type(imitated).__name__,
            "hidden": [hidden] if isinstance(hidden, str) else list(hidden),
        }
        if rule is not None:
            card["imitated_timesteps"] = N_EPISODES_IN_ALL * sum(vector.get_attr("episode_steps"))

        def current() -> Controller:
            return Controller.learned(algo, model, normalised, knobs, card)

        keep_best = KeepBest(shares, total_timesteps, current)
        callbacks: list[BaseCallback] = [keep_best] if validated else []
        continued, save = False, None
        if isinstance(model, OnPolicyAlgorithm):
            if checkpoints is not None:
                conditions = {**card, "hyperparameters": repr(hyperparameters)}
                kept = TrainingCheckpoints(checkpoints, conditions)
                continued = kept.restore(model, normalised, keep_best)
                save = partial(kept.save, model, normalised, keep_best)
            callbacks.append(Legs(validated_every(total_timesteps), seed, save))
        if rule is not None and not continued:
            policy = cast(ActorCriticPolicy, model.policy)
            error = imitate(policy, rule, normalised, gamma=settings["gamma"], seed=seed, progress=progress)
            logger.info("imitates %s to an RMS error of %.3f a move", type(rule).__name__, error)
        if log_dir is not None:
            model.set_logger(_tensorboard(Path(log_dir), model.num_timesteps))
        n_done = model.num_timesteps
        callbacks.append(ProgressCallback(total_timesteps, n_done, progress))
        model.learn(total_timesteps - n_done, callback=callbacks, reset_num_timesteps=not continued)
        return keep_best.controller() if validated else current()


def _knobs(vector: VecEnv, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the knobs that a vector environment has, by its arguments where it does not say."""
    try:
        own: Sequence[Knob] | None = vector.get_attr("knobs")[0]
    except AttributeError:
        own = None
    return tuple(knob.name for knob in own or resolve(arguments.get("knobs", DEFAULT_KNOBS)))


def _tensorboard(folder: Path, n_done: int) -> Logger:
    """Return a logger into a folder; what is there already from `n_done` env steps on counts no more."""
    output = TensorBoardOutputFormat(str(folder))
    if n_done:
        output.writer.close()
        output.writer = SummaryWriter(str(folder), purge_step=n_done)
    return Logger(str(folder), [output])


def _shares(
    id: str, n_envs: int | None, n_steps: int | None, total_timesteps: int, arguments: dict[str, Any]
) -> tuple[Share, ...]:
    """Return the environments to train in; sets `compile` among their arguments where nobody has."""
    first = shares_of(id, None, arguments)[0]
    trial = make_one(first.id, **first.kwargs)
    if n_envs is None and id not in MIXTURES:
        n_envs = n_envs_that_fit(trial.networks, n_steps, total_timesteps)
    worth_it = worth_compiling(trial.networks, n_envs or first.n_envs, total_timesteps)
    arguments.setdefault("compile", worth_it)
    return shares_of(id, n_envs, arguments)


def _settings(
    algorithm: Algorithm, n_envs: int, rule: Rule | None, hyperparameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the hyperparameters of a training; a learning rate that is a number falls to a tenth of it."""
    defaults = fitting_defaults(algorithm, n_envs, None if rule is None else HYPERPARAMETERS)
    settings = {**defaults, **hyperparameters}
    if "learning_rate" in settings and not callable(settings["learning_rate"]):
        start = float(settings["learning_rate"])
        settings["learning_rate"] = lambda remaining: start * (0.1 + 0.9 * remaining)
    return settings
