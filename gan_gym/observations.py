"""What an agent sees: one table for the observation space, the vector and the documentation.

Every row is scale-free, so that one policy serves all networks, data sets and losses, and squashed into [-1,
1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_gym.gan.losses import GANLoss
from gan_gym.gan.statistics import Statistics
from gan_gym.knobs import Knob


@dataclass(frozen=True)
class Signals:
    """Everything an observation may be computed from. The ground-truth mode count is not here."""

    statistics: Statistics
    """Statistics of the last block of inner steps."""
    previous: Statistics
    """Statistics of the block before it."""
    loss: GANLoss
    """The loss in use; its `equilibrium` and `scale` are the origin and the unit of loss observations."""
    similarity: Mapping[str, float]
    """`fidelity`, `coverage`, `diversity`, `kernel` and `quality` now."""
    similarity_before: Mapping[str, float]
    """The same an env step earlier."""
    progress_remaining: float
    """Share of the budget that is left, 1 -> 0."""
    n_steps: int
    """Env steps taken; 0 right after a reset, where no statistics exist yet."""


def squash(x: float, scale: float = 1.0) -> float:
    """Map any real number into (-1, 1): tanh(x / scale)."""
    return math.tanh(x / scale)


def _decades(x: float, centre: float, width: float) -> float:
    """Squash the logarithm of a positive number: 0 at 10^`centre`, about 0.76 `width` decades above."""
    return squash(math.log10(max(x, 1e-12)) - centre, width)


GROUPS: dict[str, str] = {
    "losses": "both losses, their changes and spread",
    "scores": "D's logits and their signs, on real and on generated data",
    "gradients": "gradient norms, update ratios and straightness of both networks",
    "similarity": "fidelity, coverage, diversity and kernel closeness, and their changes",
    "time": "what is left of the budget",
    "positions": "where every knob is",
    "last_actions": "what the last action asked for",
}
"""Kinds of knowledge that rows are of, each of which can be hidden from an agent."""


@dataclass(frozen=True)
class Observation:
    """One row of the observation."""

    name: str
    """Name of the row."""
    group: str
    """Key of `GROUPS`: what kind of knowledge it is."""
    meaning: str
    """What it says, with its unit before squashing."""
    compute: Callable[[Signals], float]
    """The row's value in [-1, 1]."""
    needs_block: bool = True
    """Whether it is 0 before the first block of inner steps."""


def _loss_change(now: float, before: float, loss: GANLoss) -> float:
    return squash((now - before) / loss.scale)


def _rows() -> tuple[Observation, ...]:
    o = Observation
    return (
        o("g_loss", "losses", "G loss, units of D's equilibrium",
          lambda s: squash(s.statistics.g_loss / s.loss.scale, 2.0)),
        o("d_loss", "losses", "D loss minus its equilibrium, units of it",
          lambda s: squash(s.statistics.d_loss / s.loss.scale - s.loss.equilibrium / s.loss.scale)),
        o("g_loss_change", "losses", "change of the G loss, same units",
          lambda s: _loss_change(s.statistics.g_loss, s.previous.g_loss, s.loss)),
        o("d_loss_change", "losses", "change of the D loss, same units",
          lambda s: _loss_change(s.statistics.d_loss, s.previous.d_loss, s.loss)),
        o("g_loss_std", "losses", "std of the G loss within the block, same units",
          lambda s: squash(s.statistics.g_loss_std / s.loss.scale)),
        o("d_loss_std", "losses", "std of the D loss within the block, same units",
          lambda s: squash(s.statistics.d_loss_std / s.loss.scale)),
        o("score_real", "scores", "mean logit of real data",
          lambda s: squash(s.statistics.score_real, 3.0)),
        o("score_fake", "scores", "mean logit of generated data",
          lambda s: squash(s.statistics.score_fake, 3.0)),
        o("score_gap", "scores", "difference of the two in standard deviations",
          lambda s: squash(s.statistics.score_gap, 2.0)),
        o("sign_real", "scores", "E sign D(real)", lambda s: s.statistics.sign_real),
        o("sign_fake", "scores", "E sign D(fake)", lambda s: s.statistics.sign_fake),
        o("g_grad_norm", "gradients", "RMS gradient entry of G, decades around 1e-3",
          lambda s: _decades(s.statistics.g_grad_norm, -3, 2)),
        o("d_grad_norm", "gradients", "RMS gradient entry of D, decades around 1e-3",
          lambda s: _decades(s.statistics.d_grad_norm, -3, 2)),
        o("g_step_ratio", "gradients", "|dw|/|w| per step of G, decades around 1e-3",
          lambda s: _decades(s.statistics.g_step_ratio, -3, 1)),
        o("d_step_ratio", "gradients", "|dw|/|w| per step of D, decades around 1e-3",
          lambda s: _decades(s.statistics.d_step_ratio, -3, 1)),
        o("g_straightness", "gradients", "distance over path length of G's weights, -1 circles, 1 straight",
          lambda s: 2 * min(s.statistics.g_straightness, 1.0) - 1),
        o("d_straightness", "gradients", "the same for D",
          lambda s: 2 * min(s.statistics.d_straightness, 1.0) - 1),
        o("fidelity", "similarity",
          "closeness of generated to real samples, 0 noise, 1 real, mapped to [-1, 1]",
          lambda s: 2 * s.similarity["fidelity"] - 1, False),
        o("coverage", "similarity", "closeness of real samples to generated ones, same scale",
          lambda s: 2 * s.similarity["coverage"] - 1, False),
        o("diversity", "similarity", "distance among generated samples over that among real ones, minus 1",
          lambda s: min(s.similarity["diversity"] - 1, 1.0), False),
        o("kernel", "similarity",
          "unbiased kernel closeness of the two distributions, same scale as fidelity",
          lambda s: 2 * s.similarity["kernel"] - 1, False),
        o("fidelity_change", "similarity", "change of fidelity over the env step, units of 0.1",
          lambda s: squash(s.similarity["fidelity"] - s.similarity_before["fidelity"], 0.1)),
        o("coverage_change", "similarity", "change of coverage over the env step, units of 0.1",
          lambda s: squash(s.similarity["coverage"] - s.similarity_before["coverage"], 0.1)),
        o("quality_change", "similarity", "change of quality over the env step, units of 0.1",
          lambda s: squash(s.similarity["quality"] - s.similarity_before["quality"], 0.1)),
        o("progress_remaining", "time", "share of the budget left, mapped to [-1, 1]",
          lambda s: 2 * s.progress_remaining - 1, False),
    )  # fmt: skip


OBSERVATIONS: tuple[Observation, ...] = _rows()
"""The rows that every environment shares; the knobs' own follow them."""

KNOB_ROWS = {"position": "positions", "last_action": "last_actions"}
"""What is shown of every knob, in rows `<knob>_<key>`, and the group of these."""


def names(knobs: Sequence[Knob]) -> tuple[str, ...]:
    """Return the names of all rows of an observation."""
    return (
        *(row.name for row in OBSERVATIONS),
        *(f"{knob.name}_{shown}" for shown in KNOB_ROWS for knob in knobs),
    )


def groups(knobs: Sequence[Knob]) -> tuple[str, ...]:
    """Return the group of every row of an observation, in the order of `names`."""
    return (*(row.group for row in OBSERVATIONS), *(group for group in KNOB_ROWS.values() for _ in knobs))


def observe(
    signals: Signals, knobs: Sequence[Knob], values: Mapping[str, float], last_action: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return a fresh observation, `(len(OBSERVATIONS) + 2 k,)` float32 in [-1, 1]."""
    rows = [0.0 if row.needs_block and signals.n_steps == 0 else row.compute(signals) for row in OBSERVATIONS]
    positions = [knob.position(values[knob.name]) for knob in knobs]
    return np.clip(np.array([*rows, *positions, *last_action], dtype=np.float32), -1.0, 1.0)
