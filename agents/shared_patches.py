"""Patches that are read once, and that each machine of a cluster holds once, however many workers it has."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from agents.cluster import Cluster
from agents.workers import Kind
from gan_gym.data.patches import PatchSet
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.histogan import HistoGANEnv


def share_patches(cluster: Cluster, kind: Kind) -> Any:
    """Read the patches of a kind of environments here, and store them for all machines of a cluster.

    Ray sends them to a machine when its first worker asks for them; all workers there read the same memory,
    `(N, 3, H, W)` uint8. Where `data` is a path, only this machine needs it.

    Returns:
        What Ray knows them by, to be given to `hosts.Host`; `None` where GANs are not trained on patches.
    """
    env = gym.make(kind.env_id, **kind.kwargs).unwrapped
    if not isinstance(env, HistoGANEnv):
        return None
    return cluster.patiently(partial(cluster.ray.put, env.load().images.numpy()))


def use_patches(env: GANEnv, images: NDArray[np.uint8]) -> None:
    """Have an environment generate shared patches, `(N, 3, H, W)`, without a copy of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        shared = torch.from_numpy(images)
    assert isinstance(env, HistoGANEnv)
    env.use(PatchSet.unlabelled(shared))
