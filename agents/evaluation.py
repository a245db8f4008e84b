"""Let an agent control GANs it has never seen, and record how each run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self, cast

import gymnasium as gym
import numpy as np
from torch import Tensor
from tqdm import tqdm

from agents.acting import Agent, Planner, State, decide
from agents.baselines import find_agent
from agents.environments import check_id, make_one
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.vector import GANVectorEnv
from gan_gym.gan import GANTrainer, family

FIGURES = ("kernel", "modes", "modes20", "hq")
"""What an environment says of a model beside its quality."""
POPULATION = 32
"""GANs on points that are trained as one batched computation."""
POPULATION_OF_IMAGES = 16
"""The same of images on a GPU; larger ones than patches of 64 pixels may need fewer."""

Measure = Callable[[GANTrainer], float]
"""A figure of a GAN that its environment does not know."""


@dataclass(frozen=True)
class Episode:
    """One GAN trained under control: a row of a benchmark.

    Figures of the last model are those after the last env step that did not diverge, and those of the best
    model after the env step of the highest quality; before the first env step there is the untrained one.
    """

    agent: str
    """Name of the agent."""
    env: str
    """Id of the environment."""
    seed: int
    """Seed of the reset; equal seeds are equal instances, so rows of different agents pair."""
    instance: int
    """Seed of the instance that was drawn."""
    final_quality: float
    """Quality of the last model."""
    kernel: float
    """Its kernel similarity to real data."""
    modes: int
    """Its modes with at least one sample of high quality; -1 where modes cannot be counted."""
    modes20: int
    """Its modes with at least 20 such samples."""
    hq: float
    """Its share of samples of high quality."""
    best_quality: float
    """Quality of the best model."""
    best_kernel: float
    """As `kernel`, of the best model; so are the next three."""
    best_modes: int
    best_modes20: int
    best_hq: float
    end: str
    """Why it ended: `budget`, `diverged` or `collapsed`."""
    inner_steps: int
    """Generator updates in all."""
    inner_steps_spent: int
    """The same with those of all forks that a `Planner` tried."""
    diverged: bool
    """Whether a loss, gradient or weight was not finite at the end."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What `measures` said of the last model, by name, and of the best, by `best_` and the name."""

    @classmethod
    def ended(
        cls,
        agent: str,
        env: str,
        seed: int,
        *,
        info: Mapping[str, Any],
        last: Mapping[str, Any],
        best: Mapping[str, Any],
        inner_steps: int,
        spent: int,
        measured: Mapping[str, float],
    ) -> Self:
        """Return the row of a run by what its environment said.

        Args:
            agent: name of the agent.
            env: id of the environment.
            seed: seed of the reset.
            info: of the last env step.
            last: of the last model.
            best: of the best model.
            inner_steps: generator updates in an env step.
            spent: generator updates in all, with those of whatever else it took.
            measured: as the field.
        """
        return cls(
            agent=agent,
            env=env,
            seed=seed,
            instance=last["instance_seed"],
            final_quality=last["quality"],
            **{name: last[name] for name in FIGURES},
            best_quality=best["quality"],
            **{f"best_{name}": best[name] for name in FIGURES},
            end=info["end"],
            inner_steps=info["env_step"] * inner_steps,
            inner_steps_spent=spent,
            diverged=info["diverged"],
            measured=measured,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, JSON-able, with what was measured among them."""
        fields = asdict(self)
        measured: dict[str, float] = fields.pop("measured")
        return fields | measured


@dataclass
class _Run:
    """An episode under way."""

    name: str
    agent: Agent
    seed: int
    observation: np.ndarray[Any, np.dtype[np.float32]]
    info: dict[str, Any]
    last: dict[str, Any]
    """Info of the last model."""
    best: dict[str, Any]
    """Info of the best model."""
    models: dict[str, dict[str, Tensor]]
    """Averaged generators of both, kept where they will be measured."""
    state: State = None


def evaluate(
    agent: Agent | str,
    id: str,
    *,
    n_episodes: int,
    seed: int = 0,
    n_envs: int | None = None,
    env_kwargs: dict[str, Any] | None = None,
    name: str | None = None,
    progress: bool = False,
) -> list[Episode]:
    """Let an agent control `n_episodes` GANs and return one row each, in the order of their seeds.

    Args:
        agent: anything with `predict`, or what `find_agent` takes.
        id: one of this package's ids.
        n_episodes: number of GANs.
        seed: episode i is reset with `seed + i`; all agents meet the same instances.
        n_envs: GANs under way at a time; unless given, 32 on points, and 16 on images with CUDA, which are
            trained as one computation, else 1.
        env_kwargs: arguments of the environment; `instances="test"` unless given.
        name: name of the agent in the rows; what was given as `agent`, or its type's, by default.
        progress: whether to show a progress bar.

    Raises:
        ValueError: if a name is unknown, an argument out of range, or the agent was made for other knobs.
    """
    for argument, value in (("n_episodes", n_episodes), ("n_envs", 1 if n_envs is None else n_envs)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{argument} is {value!r}; give a whole number >= 1")
    if isinstance(agent, str):
        name, agent = name or agent, find_agent(agent)
    name = name or type(agent).__name__
    vector = make_vector(id, n_envs, n_episodes, {**knobs_for(agent, env_kwargs or {}), **(env_kwargs or {})})
    pairs = [(name, agent, seed + i) for i in range(n_episodes)]
    try:
        bar = tqdm(
            play(vector, id, pairs), total=n_episodes, unit="GAN", desc=name, disable=not progress, delay=2
        )
        return sorted(bar, key=lambda episode: episode.seed)
    finally:
        vector.close()


def knobs_for(agent: Agent, env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the `knobs` argument an agent asks for.

    Raises:
        ValueError: if `env_kwargs` asks for others.
    """
    wanted = getattr(agent, "knobs", None)
    if wanted is None:
        return {}
    asked = env_kwargs.get("knobs", wanted)
    if tuple(asked) != tuple(wanted):
        raise ValueError(
            f"knobs is {tuple(asked)}; this agent was made for {tuple(wanted)}, so leave knobs out"
        )
    return {"knobs": tuple(wanted)}


def make_vector(id: str, n_envs: int | None, n_episodes: int, env_kwargs: dict[str, Any]) -> GANVectorEnv:
    """Build the environments of an evaluation, on test instances unless `env_kwargs` says otherwise."""
    env_id, arguments = check_id(id), {"instances": "test", **env_kwargs}
    if n_envs is None:
        n_envs = n_envs_for(make_one(id, **arguments))
    vector = gym.make_vec(
        env_id, num_envs=min(n_envs, n_episodes), vectorization_mode="vector_entry_point", **arguments
    )
    return cast(GANVectorEnv, vector.unwrapped)


def n_envs_for(env: GANEnv) -> int:
    """Return how many GANs are best under way at a time: one, where a CPU's cores are filled by it."""
    if family(env.networks) == "points":
        return POPULATION
    return POPULATION_OF_IMAGES if env.device.type == "cuda" else 1


def play(
    vector: GANVectorEnv,
    id: str,
    pairs: Iterable[tuple[str, Agent, int]],
    measures: Mapping[str, Measure] | None = None,
) -> Iterator[Episode]:
    """Play episodes, as many at a time as there are environments, and yield each as it ends.

    Args:
        vector: the environments.
        id: their id, for the rows.
        pairs: name, agent and seed of each episode; agents may differ.
        measures: further figures of the last and the best model, by name.
    """
    measures, waiting = measures or {}, iter(pairs)
    runs = [_start(env, vector.envs[0], waiting) for env in vector.envs]
    while any(runs):
        actions = np.zeros(vector.action_space.shape or (), np.float32)
        for i, (env, run) in enumerate(zip(vector.envs, runs, strict=True)):
            if run is not None:
                actions[i], run.state = decide(run.agent, env, run.observation, run.info, run.state)
        busy = np.array([run is not None for run in runs])
        observations, _, ended, infos = vector.step_envs(actions, busy)
        for i, (env, run) in enumerate(zip(vector.envs, runs, strict=True)):
            if run is None:
                continue
            run.observation, run.info = observations[i], infos[i]
            _keep(run, env.trainer, models=bool(measures))
            if ended[i]:
                measured = {
                    prefix + name: measure(_with_model(env.trainer, run.models[kept]))
                    for name, measure in measures.items()
                    for prefix, kept in (("", "last"), ("best_", "best"))
                }
                yield _row(run, id, env.inner_steps, measured)
                runs[i] = _start(env, vector.envs[0], waiting)


def _start(env: GANEnv, first: GANEnv, waiting: Iterator[tuple[str, Agent, int]]) -> _Run | None:
    """Reset an environment for the next episode that waits."""
    following = next(waiting, None)
    if following is None:
        return None
    name, agent, seed = following
    env.problem_of(first)
    observation, info = env.reset(seed=seed)
    untrained = env.trainer.g_ema.copied()
    models = {"last": untrained, "best": untrained}
    return _Run(name, agent, seed, observation, info, info, info, models)


def _keep(run: _Run, trainer: GANTrainer, *, models: bool) -> None:
    """Remember the model after an env step as the last, and as the best if it is."""
    if run.info["diverged"]:
        return
    better = run.info["quality"] > run.best["quality"]
    run.last = run.info
    run.best = run.info if better else run.best
    if models:
        now = trainer.g_ema.copied()
        run.models = {"last": now, "best": now if better else run.models["best"]}


def _with_model(trainer: GANTrainer, tensors: Mapping[str, Tensor]) -> GANTrainer:
    """Return the trainer of a GAN that has ended, with an earlier averaged generator."""
    trainer.g_ema.load(tensors)
    return trainer


def _row(run: _Run, id: str, inner_steps: int, measured: Mapping[str, float]) -> Episode:
    forks = run.agent.spent(run.state) if isinstance(run.agent, Planner) else 0
    return Episode.ended(
        run.name,
        id,
        run.seed,
        info=run.info,
        last=run.last,
        best=run.best,
        inner_steps=inner_steps,
        spent=run.info["env_step"] * inner_steps + forks,
        measured=measured,
    )
