"""Build the environments an algorithm learns in."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
from dataclasses import dataclass
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

import gan_gym
from agents.algorithms import find
from agents.cluster import Cluster
from agents.cores import usable_cores
from agents.mixtures import Share, shares_of
from agents.population import make_population
from agents.remote import Placement, RayVecEnv
from agents.workers import Kind, start_workers
from gan_gym.envs.gan_env import GANEnv
from gan_gym.gan import family
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.names import unknown

logger = logging.getLogger(__name__)

DISCRETE_MOVES = (-0.4, 0.0, 0.4)
"""Moves a knob has where an algorithm needs discrete actions: down, keep, up; fourfold for learning rates."""
SMALLEST_SHARE = {"points": 4}
"""Fewest GANs a process is started for, by family (1 for others); a batched step of fewer costs no less."""


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


def make_one(id: str, **kwargs: Any) -> GANEnv:
    """Make a single environment, unwrapped: what its GANs are like can be asked of it before it is reset.

    Args:
        id: one of this package's ids.
        kwargs: arguments of the environment.

    Raises:
        ValueError: if the id is unknown or an argument wrong.
    """
    return cast(GANEnv, gym.make(check_id(id), **kwargs).unwrapped)


def discrete_actions(n_knobs: int) -> NDArray[np.float32]:
    """Return the moves that a discrete algorithm's actions stand for, `(3 ** n_knobs, n_knobs)`."""
    return np.array(list(itertools.product(DISCRETE_MOVES, repeat=n_knobs)), np.float32)


@dataclass(frozen=True)
class Form:
    """How environments are laid out over processes."""

    n_processes: int
    """1 is this process; more are workers, on one thread each."""
    reason: str
    """Why it is the fastest."""

    @classmethod
    def fastest(cls, n_envs: int, networks: str, device: torch.device, n_cores: int) -> Form:
        """Return the form in which `n_envs` GANs of these networks train fastest."""
        share = SMALLEST_SHARE.get(family(networks), 1)
        reasons_for_one = {
            "one GPU trains all at once": device.type == "cuda",
            "there is nothing to share out": n_envs == 1,
            "there is one core to use": n_cores == 1,
            f"a process for fewer than {share} '{networks}' GANs gains too little": n_envs < 2 * share,
            "this process is a daemon, which may have no children": multiprocessing.current_process().daemon,
        }
        for reason, holds in reasons_for_one.items():
            if holds:
                return cls(1, reason)
        return cls(min(n_cores, n_envs // share), f"there are {n_cores} cores to use")


def make_env(
    id: str,
    algo: str,
    n_envs: int | None = None,
    *,
    seed: int = 0,
    n_processes: int | None = None,
    remote: str | None = None,
    placement: Placement | None = None,
    **kwargs: Any,
) -> VecEnv:
    """Build a vector environment whose spaces suit an algorithm, in the form that is fastest here.

    On a GPU, and for a single environment, it is one population of GANs in this process. On a CPU it is one
    worker process a core (`cores.usable_cores`), each with an even share of the environments as a population
    on one thread; few MLP GANs stay one population in this process. Results agree within float tolerance;
    equal bits need an equal number of processes. Which form was chosen, and why, is logged. Each kind of
    environment in a mixture is laid out so for itself, on its part of the cores, in worker processes.

    Where other programs keep the cores busy, one process is faster than several that wait for each other.

    Args:
        id: one of this package's ids, or a name in `MIXTURES`.
        algo: a name in `ALGOS`.
        n_envs: number of environments, 1 by default; a mixture has its own numbers.
        seed: environment i starts with `seed + i`.
        n_processes: how many processes train the GANs (of each kind in a mixture); 1 is this one alone,
            `None` as many as are fastest on a machine that does nothing else. With `remote`, how many remote
            workers do, by default one a CPU core of the cluster.
        remote: a Ray cluster whose machines train the GANs (`agents.remote.RayVecEnv`): `"local"` starts one
            on this machine, `"auto"` is the one this machine belongs to, else `HOST:PORT`.
        placement: what each remote worker is given.
        kwargs: arguments of the environments.

    Raises:
        ValueError: if a name is unknown or an argument out of range.
    """
    algorithm = find(algo)
    for name, number in (("n_envs", n_envs), ("n_processes", n_processes)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ValueError(f"{name} is {number!r}; give a whole number >= 1")
    shares = shares_of(id, n_envs, kwargs)
    n_cores = usable_cores() if remote is None else Cluster.connect(remote).n_cpus
    n_cores = max(1, n_cores // len(shares))
    if remote is not None:
        n_processes = n_processes or n_cores
    kinds = [_lay_out(share, n_processes, n_cores) for share in shares]
    n_knobs = len(resolve(kwargs.get("knobs", DEFAULT_KNOBS)))
    moves = discrete_actions(n_knobs) if algorithm.discrete else None
    if remote is not None:
        vector: VecEnv = RayVecEnv(kinds, moves, remote, placement)
    elif len(kinds) == 1 and kinds[0].n_workers == 1:
        vector = make_population(kinds[0].env_id, kinds[0].n_envs, moves, kwargs)
    else:
        vector = start_workers(kinds, moves)
    vector.seed(seed)
    return vector


def _lay_out(share: Share, n_processes: int | None, n_cores: int) -> Kind:
    """Check a share of the environments, and choose and log its form on so many cores."""
    trial, n = make_one(share.id, **share.kwargs), share.n_envs  # wrong arguments raise here, not in a worker
    if n_processes is None:
        form = Form.fastest(n, trial.networks, trial.device, n_cores)
    else:
        form = Form(min(n_processes, n), "as asked")
    if form.n_processes == 1:
        logger.info("%s: %s, one population in one process: %s", share.id, _gans(n), form.reason)
    else:
        logger.info(
            "%s: %s in %d processes, each a population of %d%s on 1 thread: %s",
            share.id,
            _gans(n),
            form.n_processes,
            n // form.n_processes,
            " or one more" if n % form.n_processes else "",
            form.reason,
        )
    return Kind(check_id(share.id), n, form.n_processes, share.kwargs)


def _gans(n: int) -> str:
    return "1 GAN" if n == 1 else f"{n} GANs"
