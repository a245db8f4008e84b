"""Environments shared out among workers, each of which trains its GANs as a population.

What a worker does (`Worker`) is kept apart from how it is reached (`Link`): over a pipe, it is
`processes.WorkerProcess`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from agents.population import Moves, PopulationState, check_actions, make_population
from agents.processes import WorkerDied, WorkerProcess

Array = NDArray[np.float32]
Infos = list[dict[str, Any]]


class Worker:
    """A share of the environments: what is done where they live, one call an env step.

    Args:
        env_id: id that `gym.make_vec` knows in any process.
        n_envs: number of GANs.
        moves: what discrete actions stand for, or `None`.
        kwargs: arguments of the environment.
    """

    def __init__(self, env_id: str, n_envs: int, moves: Moves | None, kwargs: Mapping[str, Any]) -> None:
        self.vector = make_population(env_id, n_envs, moves, kwargs)

    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """Return the spaces of an observation and an action."""
        return self.vector.observation_space, self.vector.action_space

    def reset(self, seeds: Sequence[int | None], options: Sequence[Mapping[str, Any]]) -> tuple[Array, Infos]:
        """Start all GANs anew; return observations and infos."""
        return self.vector.start(seeds, options), self.vector.reset_infos

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Array, Array, NDArray[np.bool_], Infos, dict[int, dict[str, Any]]]:
        """Train all GANs for one env step; return what SB3 does, and the infos of those that restarted."""
        observations, rewards, dones, infos = self.vector.step(actions)
        restarted = {int(i): self.vector.reset_infos[i] for i in np.flatnonzero(dones)}
        return observations, rewards, dones, infos, restarted  # type: ignore[return-value]

    def snapshot(self) -> PopulationState:
        """Return all that is needed to continue these GANs bit for bit (on the CPU), picklable."""
        return self.vector.snapshot()

    def restore(self, state: PopulationState) -> None:
        """Continue from the snapshot of a worker with the same arguments."""
        self.vector.restore(state)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call any other method of the population's vector environment."""
        return getattr(self.vector, name)(*args, **kwargs)


class Link(Protocol):
    """The way to a `Worker`: every message has one answer, in order."""

    def send(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of one of the worker's methods."""

    def receive(self) -> Any:
        """Wait for what it returns; raise what it raises, `WorkerDied` where it has gone."""

    def close(self) -> None:
        """End the worker."""


class WorkersVecEnv(VecEnv):
    """Workers' environments as one SB3 vector environment, in the order of the workers.

    Equal, GAN by GAN, to a population in one process with the same seeds and actions: exactly where GANs are
    trained in turn, within float tolerance where they are trained as one batched computation. Where a worker
    raises, the others have done what was asked, and the first error is raised here; then, and after an
    interrupt, `reset` makes all well again. Where a worker dies, all are ended.

    Args:
        links: the workers.
        n_envs: number of environments of each.
    """

    def __init__(self, links: Sequence[Link], n_envs: Sequence[int]) -> None:
        self.links = list(links)
        ends = np.cumsum(n_envs).tolist()
        self.slices = [slice(end - n, end) for end, n in zip(ends, n_envs, strict=True)]
        self._places = [(worker, i) for worker, n in enumerate(n_envs) for i in range(n)]
        spaces = self._ask_all("spaces", [()] * len(self.links))
        super().__init__(len(self._places), *spaces[0])

    def reset(self) -> VecEnvObs:
        """Start all GANs anew, with the seeds and options that were set."""
        seeds, options = self._seeds, self._options
        self._reset_seeds()
        self._reset_options()
        answers = self._ask_all("reset", [(seeds[own], options[own]) for own in self.slices])
        self.reset_infos = [info for _, infos in answers for info in infos]
        return np.concatenate([observations for observations, _ in answers])

    def step_async(self, actions: NDArray[Any]) -> None:
        """Send every worker its actions.

        Raises:
            ValueError: if they are not one for each GAN.
        """
        check_actions(actions, self.num_envs)
        self._send({i: ("step", (actions[own],), {}) for i, own in enumerate(self.slices)})

    def step_wait(self) -> VecEnvStepReturn:
        """Wait until all GANs have trained for one env step."""
        answers = self._receive(range(len(self.links)))
        observations, rewards, dones, infos, restarted = zip(*answers, strict=True)
        for own, reset_infos in zip(self.slices, restarted, strict=True):
            for i, info in reset_infos.items():
                self.reset_infos[own.start + i] = info
        return (
            np.concatenate(observations),
            np.concatenate(rewards),
            np.concatenate(dones),
            [info for part in infos for info in part],
        )

    def close(self) -> None:
        """End all workers; nothing happens the second time."""
        for link in self.links:
            link.close()

    def get_images(self) -> list[NDArray[np.uint8] | None]:
        """Return a frame of every environment; `None` where `render_mode` is."""
        answers = self._ask_all("call", [("get_images",)] * len(self.links))
        return [image for images in answers for image in images]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the environments."""
        return self._each(indices, "get_attr", attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the environments."""
        self._each(indices, "set_attr", attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the environments."""
        return self._each(indices, "env_method", method_name, *args, **kwargs)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Say that no environment is wrapped, except that episodes are monitored."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def _each(self, indices: VecEnvIndices, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method of the populations for some environments; return its values in their order."""
        places = [self._places[i] for i in self._get_indices(indices)]
        wanted = {worker: [i for other, i in places if other == worker] for worker, _ in places}
        self._send(
            {worker: ("call", (name, *args), {"indices": own, **kwargs}) for worker, own in wanted.items()}
        )
        values = {
            worker: iter(answer or ()) for worker, answer in zip(wanted, self._receive(wanted), strict=True)
        }
        return [next(values[worker], None) for worker, _ in places]

    def _ask_all(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        self._send({i: (method, own, {}) for i, own in enumerate(arguments)})
        return self._receive(range(len(self.links)))

    def _send(self, messages: Mapping[int, tuple[str, tuple[Any, ...], Mapping[str, Any]]]) -> None:
        try:
            for worker, (method, args, kwargs) in messages.items():
                self.links[worker].send(method, *args, **kwargs)
        except WorkerDied:
            self.close()
            raise

    def _receive(self, workers: Iterable[int]) -> list[Any]:
        """Wait for all answers, so that none is left in the way of the next; raise the first error."""
        answers, errors = [], []
        for worker in workers:
            try:
                answers.append(self.links[worker].receive())
            except WorkerDied:
                self.close()
                raise
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers


@dataclass(frozen=True)
class Kind:
    """Environments of one kind, and how many workers share them."""

    env_id: str
    """Id that `gym.make_vec` knows in any process."""
    n_envs: int
    """How many there are."""
    n_workers: int
    """Workers that share them evenly."""
    kwargs: Mapping[str, Any]
    """Arguments of the environments."""

    @property
    def shares(self) -> list[int]:
        """Number of environments of each worker."""
        even, more = divmod(self.n_envs, self.n_workers)
        return [even + (i < more) for i in range(self.n_workers)]


def start_workers(kinds: Sequence[Kind], moves: Moves | None) -> WorkersVecEnv:
    """Start processes on this machine that train the environments of all kinds, on one thread each."""
    shares = [(kind, n) for kind in kinds for n in kind.shares]
    links: list[WorkerProcess] = []
    first = 0
    try:
        for i, (kind, n) in enumerate(shares):
            name = f"worker {i + 1} of {len(shares)} (environments {first} to {first + n - 1})"
            links.append(WorkerProcess(partial(Worker, kind.env_id, n, moves, kind.kwargs), name))
            first += n
        return WorkersVecEnv(links, [n for _, n in shares])
    except BaseException:
        for link in links:
            link.close()
        raise
