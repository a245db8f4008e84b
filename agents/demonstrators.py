"""Rules that act by moves, and which variant of a rule suits which kind of environment."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from agents.acting import Rule, State
from agents.baselines.rule import ExactRule, Settings
from gan_gym.knobs import Knob

logger = logging.getLogger(__name__)

FACTORS = (1.0, 0.5, 2.0)
"""What a variant multiplies the learning rates of its rule by. The noise that suits is the same share of the
data's spread everywhere (`gan_gym.gan.Spread`)."""

N_EPISODES_TRIED = 3
"""Episodes of each environment in which variants are tried."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Scaled(ExactRule):
    """A rule with its learning rates multiplied."""

    rule: Rule
    """What is followed."""
    factor: float = 1.0
    """What they are multiplied by."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[Settings, State]:
        """Return the rule's settings, multiplied."""
        settings, state = self.rule.settings(info, state)
        return {
            name: value * self.factor if name in ("g_lr", "d_lr") else value
            for name, value in settings.items()
        }, state


def variants(rule: Rule) -> list[Scaled]:
    """Return the variants of a rule; it comes first itself."""
    return [Scaled(rule, factor) for factor in FACTORS]


def move_towards(target: Mapping[str, float], info: Mapping[str, Any], knobs: Sequence[Knob]) -> Array:
    """Return the action, `(k,)` in [-1, 1], that brings every knob as near to its target as one move can.

    A knob that is to be off is turned down all the way, off already or not: what imitates such moves does not
    turn it on by its small errors.
    """
    moves = [
        _move(target[knob.name], info[knob.name], knob) if knob.name in target else 0.0 for knob in knobs
    ]
    return np.clip(np.array(moves, np.float32), -1.0, 1.0)


def _move(target: float, value: float, knob: Knob) -> float:
    if knob.can_be_off and target <= knob.low:
        return -1.0
    return math.log(max(target, knob.low) / max(value, knob.low)) / math.log(knob.max_factor)


class Demonstration:
    """Rules at work in a vector environment, one in each of its environments, by moves alone.

    Args:
        rules: one an environment; whoever steps may change them where an episode has ended.
        vector: the environments; they are started anew.
    """

    def __init__(self, rules: Sequence[Rule], vector: VecEnv) -> None:
        self.rules, self.vector = list(rules), vector
        self.knobs: list[tuple[Knob, ...]] = vector.get_attr("knobs")
        self.networks: list[str] = vector.get_attr("networks")
        self._states: list[State] = [None] * len(self.rules)
        vector.reset()

    def moves(self) -> Array:
        """Return the move `(n, k)` of each rule, which it counts as done."""
        moves = np.zeros((len(self.rules), len(self.knobs[0])), np.float32)
        for i, (_, info) in enumerate(self.vector.env_method("current")):
            seen = {**info, "networks": self.networks[i]}
            settings, self._states[i] = self.rules[i].settings(seen, self._states[i])
            moves[i] = move_towards(settings, info, self.knobs[i])
        return moves

    def step(self, moves: Array) -> tuple[Array, NDArray[np.bool_], list[dict[str, Any]]]:
        """Do moves, the rules' or others; return rewards, whether episodes ended, and infos."""
        _, rewards, dones, infos = self.vector.step(moves)
        self._states = [None if done else state for done, state in zip(dones, self._states, strict=True)]
        return np.asarray(rewards, np.float32), dones, infos


def best_variants(
    rule: Rule, vector: VecEnv, kinds: Sequence[str], n_episodes: int, *, progress: bool
) -> list[Scaled]:
    """Try all variants of a rule and return, for each environment, the best in those of its kind.

    Args:
        rule: whose variants.
        vector: the environments.
        kinds: what kind each of them is; variants take turns in environments of a kind.
        n_episodes: episodes of each environment.
        progress: whether to show a progress bar.
    """
    tried = variants(rule)
    n = len(kinds)
    turn = [kinds[:i].count(kind) for i, kind in enumerate(kinds)]  # place among those of its kind
    qualities: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    demonstration = Demonstration([tried[place % len(tried)] for place in turn], vector)
    n_steps = n_episodes * max(vector.get_attr("episode_steps"))
    for _ in tqdm(range(n_steps), desc="trying variants", unit="step", disable=not progress, delay=2):
        _, dones, infos = demonstration.step(demonstration.moves())
        for i in map(int, np.flatnonzero(dones)):
            reached = 0.0 if infos[i]["end"] == "diverged" else infos[i]["quality"]
            qualities[kinds[i]][turn[i] % len(tried)].append(reached)
            turn[i] += kinds.count(kinds[i])
            demonstration.rules[i] = tried[turn[i] % len(tried)]
    best = {
        kind: max(sorted(found), key=lambda variant: float(np.mean(found[variant])))
        for kind, found in qualities.items()
    }
    return [tried[best[kinds[i]]] for i in range(n)]


def n_episodes_tried(kinds: Sequence[str]) -> int:
    """Return how many episodes of each environment it takes to find `demonstrators`."""
    return N_EPISODES_TRIED if len(set(kinds)) > 1 else 0


def demonstrators(rule: Rule, vector: VecEnv, kinds: Sequence[str], *, progress: bool) -> list[Rule]:
    """Return the rule to imitate in each environment: where there are several kinds, its best variant there.

    Args:
        rule: what is imitated.
        vector: the environments.
        kinds: what kind each of them is.
        progress: whether to show a progress bar.
    """
    n_episodes = n_episodes_tried(kinds)
    if n_episodes == 0:
        return [rule] * vector.num_envs
    best = best_variants(rule, vector, kinds, n_episodes, progress=progress)
    for kind, variant in dict(zip(kinds, best, strict=True)).items():
        logger.info("%s: learning rates x %g", kind, variant.factor)
    return list(best)
