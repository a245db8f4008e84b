"""A population of GANs beside as many environments stepped in turn, by two workers and by one a GAN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv
from stable_baselines3.common.vec_env import SubprocVecEnv

import agents
from benchmarks.costs import FAMILIES, START_METHOD, Costs, Curve, Values, threads
from benchmarks.env_groups import EnvGroup, group_builder, single_builder
from benchmarks.timing import Ratio, side_by_side

N_WORKERS = 2
"""Workers of the `SubprocVecEnv`, of one thread each, and threads of a population that may use more."""
RIVALS = {"single": "population", "subproc": "make_env", "async": "make_env"}
"""Forms a population is compared with, and the form of the population that has as many cores as they."""
DRAWN = ("population", "make_env", "single")
"""Forms whose seconds are drawn."""

Forms = dict[str, Callable[[], object]]
"""Functions that do one env step of all GANs, by form."""


def populations(costs: Costs) -> None:
    """Compare for every size asked for; draw the speed-ups and the seconds an inner step of one GAN takes."""
    for family, sizes in costs.scale.populations.items():
        taken = {n: _population(costs, family, n) for n in sizes}
        for rival, base in RIVALS.items():
            ratios = {n: times[rival] / times[base] for n, times in taken.items() if rival in times}
            for n, values in ratios.items():
                costs.ratio(f"population{n}_over_{rival}_{family}", values)
            costs.curves.append(_curve(f"population, {family}", rival, "times", ratios))
        for form in DRAWN:
            seconds = {n: times[form] for n, times in taken.items()}
            costs.curves.append(_curve("population", f"{family}, {form}", "s", seconds))


def _curve(panel: str, label: str, unit: str, values: dict[int, Values]) -> Curve:
    return Curve(panel, label, "GANs", unit, [*values], [Ratio.of(v) for v in values.values()])


def _population(costs: Costs, family: str, n: int) -> dict[str, Values]:
    """Return the seconds that an inner step of one GAN takes in every form, `(repeats,)` each."""
    kwargs = costs.env_kwargs(**costs.scale.population_kwargs[family])
    costs.bar.set_postfix_str(f"population of {n}, {family}")
    with forms_of(FAMILIES[family], n, n <= costs.scale.most_workers, kwargs) as (forms, inner_steps):
        rounds = side_by_side([*forms.values()], costs.scale.population_repeats[family])
    times = dict(zip(forms, rounds / (n * inner_steps), strict=True))
    for form, seconds in times.items():
        costs.rate(f"GAN steps, {family}, n = {n}, {form}", 1 / seconds)
    return times


@contextmanager
def forms_of(env_id: str, n: int, with_async: bool, kwargs: dict[str, Any]) -> Iterator[tuple[Forms, int]]:
    """Start `n` GANs in every form, and close them whatever happens.

    Yields:
        Functions that do one env step of all GANs, by form, and the inner steps in it.
    """
    name = f"gan_gym:{env_id}"
    with ExitStack() as stack:
        population = gym.make_vec(name, num_envs=n, vectorization_mode="vector_entry_point", **kwargs)
        stack.callback(population.close)
        population.reset(seed=0)
        actions = np.zeros(population.action_space.shape or (), np.float32)
        laid_out = agents.make_env(env_id, "ppo", n, **kwargs)
        stack.callback(laid_out.close)
        laid_out.reset()
        singles = EnvGroup(env_id, n, **kwargs)
        stack.callback(singles.close)
        singles.reset(seed=0)
        parts = np.stack(np.split(actions, min(N_WORKERS, n)))
        builders = [group_builder(env_id, len(part), **kwargs) for part in parts]
        workers = SubprocVecEnv([*builders], start_method=START_METHOD)
        stack.callback(_end, workers.processes)
        stack.callback(workers.close)
        workers.seed(0)
        workers.reset()
        forms: Forms = {
            "population": partial(population.step, actions),
            f"population, {N_WORKERS} threads": partial(_with_more_threads, population, actions),
            "make_env": partial(laid_out.step, actions),
            "single": partial(singles.step, actions),
            "subproc": partial(workers.step, parts),
        }
        if with_async:
            one_each = AsyncVectorEnv([single_builder(env_id, **kwargs)] * n, context=START_METHOD)
            stack.callback(one_each.close, terminate=True)
            one_each.reset(seed=0)
            forms["async"] = partial(one_each.step, actions)
        yield forms, singles.envs[0].get_wrapper_attr("inner_steps")


def _with_more_threads(population: gym.vector.VectorEnv[Any, Any, Any], actions: Any) -> None:
    with threads(N_WORKERS):
        population.step(actions)


def _end(processes: Iterable[Any]) -> None:
    """End workers that a failed step has left running; those that are closed have ended before."""
    for process in processes:
        process.terminate()
        process.join()
