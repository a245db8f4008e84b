"""Hide kinds of knowledge from an agent, to find out what each is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from gan_gym.knobs import resolve
from gan_gym.names import lookup
from gan_gym.observations import GROUPS, groups

HIDDEN_VARIANCE = 1e60
"""Of hidden rows. Not infinite: replay buffers hold what was observed, taken back from normalised values."""


def hidden_rows(hidden: Sequence[str], knobs: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows of an observation are of the hidden groups, `(n,)`.

    Args:
        hidden: keys of `GROUPS`.
        knobs: names of the knobs, in order.

    Raises:
        ValueError: if a group is unknown; the message holds the nearest known one.
    """
    names = (hidden,) if isinstance(hidden, str) else tuple(hidden)
    for name in names:
        lookup(GROUPS, name, "observation group")
    return np.array([group in names for group in groups(resolve(knobs))])


def hide(normalised: VecNormalize, rows: NDArray[np.bool_]) -> None:
    """Show 0 in some rows from now on, whatever an environment observes there.

    Their variance is set so large that no normalised value leaves a trace in a sum of float32, and that no
    number of observations brings it down. A controller takes it over with the other statistics
    (`Controller.learned`), also when it is copied, saved, or learns on: what was hidden from a policy as it
    was trained stays hidden from it.

    Args:
        normalised: what normalises the observations.
        rows: `(n,)`.
    """
    cast(RunningMeanStd, normalised.obs_rms).var[rows] = HIDDEN_VARIANCE
