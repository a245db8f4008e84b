"""Let a policy begin as a copy of a rule, so that reinforcement learning starts from what is known to work.

The rule's exact settings are turned into moves towards them; the policy learns these moves by regression on
runs that are disturbed on purpose, then on runs of its own, where the rule says what it would have done
(DAgger, Ross et al. 2011, arXiv 1011.0686); its value function learns the returns that followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from agents.acting import Rule
from agents.demonstration import Demonstration

N_EPISODES = 4
"""Episodes watched in every environment, and acted in by the policy in each correction."""
DISTURBANCES = (0.0, 0.05, 0.15, 0.4)
"""Standard deviations of what is added to the rule's moves, one an environment in turn."""
N_CORRECTIONS = 1
"""Times the policy acts itself, is told what the rule would have done, and is fitted to all it has seen."""
N_EPOCHS = 100
N_EPISODES_IN_ALL = N_EPISODES * (1 + N_CORRECTIONS)
"""Episodes of every environment that imitation takes."""
LOG_STD = -2.7
"""Logarithm of the policy's exploration afterwards: a learning rate moves by a quarter. With twice as much a
run ends 0.03 to 0.05 lower, and what is learned is to live with that."""
HYPERPARAMETERS = {"learning_rate": 3e-4, "batch_size": 800, "n_epochs": 6, "gae_lambda": 0.9}
"""Calmer updates than from scratch."""

Array = NDArray[np.float32]


def check_can_imitate(algo: str) -> None:
    """Check that an algorithm can begin as a copy of a rule.

    Raises:
        ValueError: if it cannot: its policy would be thrown away by its first updates.
    """
    if algo != "ppo":
        raise ValueError(f"{algo} cannot imitate; the algorithm must be ppo")


@dataclass(frozen=True)
class Watched:
    """What was seen of a rule at work."""

    observations: Array
    """`(T, n, rows)`, not normalised."""
    moves: Array
    """`(T, n, k)` what the rule would have done."""
    returns: Array
    """`(T, n)` discounted sums of the normalised rewards that followed."""
    weights: Array
    """`(T, n)` what each counts: every kind of network the same in all, and 1 on average."""


def watch(
    rule: Rule,
    vector: VecNormalize,
    n_episodes: int,
    gamma: float,
    seed: int,
    progress: bool,
    policy: ActorCriticPolicy | None = None,
) -> Watched:
    """Write down what a rule sees and wants, while it acts itself, disturbed, or while a policy acts."""
    rng = np.random.default_rng(seed)
    n = vector.num_envs
    demonstration = Demonstration(rule, vector)
    disturbance = np.array([DISTURBANCES[i % len(DISTURBANCES)] for i in range(n)])[:, None]
    n_steps = n_episodes * max(vector.get_attr("episode_steps"))
    rows: list[tuple[Array, Array, Array, NDArray[np.bool_]]] = []
    who = "the rule" if policy is None else "the copy"
    for _ in tqdm(range(n_steps), desc=f"watching {who}", unit="step", disable=not progress, delay=2):
        moves = demonstration.moves()
        seen = np.array(vector.get_original_obs(), np.float32)
        if policy is None:
            done = np.clip(moves + disturbance * rng.normal(size=moves.shape), -1, 1).astype(np.float32)
        else:
            done = policy.predict(np.asarray(vector.normalize_obs(seen)), deterministic=True)[0]
        rewards, dones = demonstration.step(done)
        rows.append((seen, moves, rewards, dones))
    returns = np.zeros((n_steps, n), np.float32)
    following = np.zeros(n, np.float32)
    for t in reversed(range(n_steps)):
        _, _, rewards, dones = rows[t]
        following = rewards + gamma * following * ~dones
        returns[t] = following
    weights = np.broadcast_to(_weights(demonstration.networks), (n_steps, n)).astype(np.float32)
    return Watched(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]), returns, weights)


def _weights(networks: Sequence[str]) -> Array:
    """Return weights of environments by their networks, so that rare ones count as much as frequent ones."""
    counts = Counter(networks)
    return np.array([len(networks) / (len(counts) * counts[name]) for name in networks], np.float32)


def imitate(
    policy: ActorCriticPolicy,
    rule: Rule,
    vector: VecNormalize,
    *,
    gamma: float,
    seed: int,
    progress: bool,
) -> float:
    """Fit a policy to a rule's moves, its value function to the returns; return the RMS error of the moves.

    The normaliser of `vector` learns its statistics from the same runs.

    Args:
        policy: what is fitted.
        rule: what is imitated, by the same moves in every kind of environment.
        vector: the environments.
        gamma: discount of the returns.
        seed: of the disturbances and batches.
        progress: whether to show progress bars.
    """
    watched = [watch(rule, vector, N_EPISODES, gamma, seed, progress)]
    error = _fit(policy, vector, watched, seed, progress)
    for _ in range(N_CORRECTIONS):
        watched.append(watch(rule, vector, N_EPISODES, gamma, seed, progress, policy))
        error = _fit(policy, vector, watched, seed, progress)
    with torch.no_grad():
        policy.log_std.fill_(LOG_STD)
    return error


def _fit(
    policy: ActorCriticPolicy, vector: VecNormalize, watched: Sequence[Watched], seed: int, progress: bool
) -> float:
    """Fit policy and value function to all that was watched; return the RMS error of the moves."""
    observations = np.concatenate(
        [each.observations.reshape(-1, each.observations.shape[-1]) for each in watched]
    )
    seen = torch.as_tensor(np.asarray(vector.normalize_obs(observations)), dtype=torch.float32)
    moves = torch.cat([torch.as_tensor(each.moves).flatten(0, 1) for each in watched])
    returns = torch.cat([torch.as_tensor(each.returns).flatten() for each in watched])
    weights = torch.cat([torch.as_tensor(each.weights).flatten() for each in watched])
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_EPOCHS)
    generator = torch.Generator().manual_seed(seed)
    for _ in tqdm(range(N_EPOCHS), desc="imitating it", unit="epoch", disable=not progress, delay=2):
        for index in torch.split(torch.randperm(len(seen), generator=generator), 256):
            mean = policy.get_distribution(seen[index]).mode()
            values = policy.predict_values(seen[index]).squeeze(1)
            errors = (mean - moves[index]).square().mean(1) + 0.5 * (values - returns[index]).square()
            loss = (weights[index] * errors).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        errors = (policy.get_distribution(seen).mode().clamp(-1, 1) - moves).square().mean(1)
    return float(errors.mean().sqrt())
