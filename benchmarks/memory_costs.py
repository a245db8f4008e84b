"""Resident memory of one more GAN in a population."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from benchmarks.costs import FAMILIES, START_METHOD, Costs
from gan_gym.envs.gan_env import GANEnv
from gan_gym.gan import build_networks

N_REPEATS = 5
"""Pairs of processes."""
N_STEPS_WITH_GRAPHS = 8
"""Inner steps after which the updates of a GPU are CUDA graphs, whose memory counts."""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the system gives resident memory."""


def memory(costs: Costs) -> None:
    """Compare what n more GANs add to the peak of a fresh process with what each has to keep."""
    for family, n in costs.scale.memory.items():
        env_id = FAMILIES[family]
        n_steps = 1 if costs.device.type == "cpu" else N_STEPS_WITH_GRAPHS
        kwargs = costs.env_kwargs(**{**costs.scale.population_kwargs[family], "inner_steps": n_steps})
        costs.bar.set_postfix_str(f"memory, {family}")
        context = multiprocessing.get_context(START_METHOD)
        with context.Pool(1, maxtasksperchild=1) as pool:
            peaks = np.array(
                [
                    [pool.apply(peak_memory, (env_id, size, kwargs)) for size in (n, 2 * n)]
                    for _ in range(N_REPEATS)
                ]
            )
        added = (peaks[:, 1] - peaks[:, 0]) / n
        kept = kept_bytes(costs.env(env_id))
        costs.ratio(f"memory_per_gan_over_kept_{family}", added / kept)
        costs.notes.append(
            f"memory, {family}: {np.median(added) / 1e6:.2f} MB for each GAN beyond {n}; its parameters, "
            f"gradients, Adam moments and average are {kept / 1e6:.2f} MB"
        )


def peak_memory(env_id: str, n: int, kwargs: dict[str, Any]) -> int:
    """Train `n` GANs for an env step; return the most bytes that this process, or its GPU, held at once."""
    torch.set_num_threads(1)
    population = gym.make_vec(
        f"gan_gym:{env_id}", num_envs=n, vectorization_mode="vector_entry_point", **kwargs
    )
    population.reset(seed=0)
    population.step(np.zeros(population.action_space.shape or (), np.float32))
    if kwargs["device"] != "cpu":
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES


def kept_bytes(env: GANEnv) -> int:
    """Return the bytes of all that training one GAN changes: its state, and a gradient a parameter."""
    state, _ = env.trainer.state()
    pair = build_networks(env.networks, env.problem.source.shape, seed=0)
    gradients = [p for network in pair for p in network.parameters()]
    return sum(t.numel() * t.element_size() for t in (*state.values(), *gradients))
