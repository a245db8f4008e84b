"""Whatever is done with forks and snapshots, the parent goes on as if nothing had happened."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gan_gym.envs.points
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.points import GridGANEnv, RingGANEnv

N_SEQUENCES = 1000
ARGUMENTS: dict[str, Any] = {"batch_size": 4, "inner_steps": 2, "episode_steps": 6, "instances": "train"}

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("fork"), st.integers(0, 3)),
        st.tuples(st.just("step"), st.integers(0, 3), st.floats(-1, 1, width=32)),
        st.tuples(st.just("keep"), st.integers(0, 3)),
        st.tuples(st.just("restore"), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.just("reset"), st.integers(1, 3), st.integers(0, 99)),
        st.tuples(st.just("parent"), st.floats(-1, 1, width=32)),
    ),
    min_size=1,
    max_size=8,
)


def _step(env: Any, action: float) -> tuple[Any, ...]:
    return env.step(np.full(len(env.knobs), action, np.float32))


def _equal(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return np.array_equal(left[0], right[0]) and left[1:] == right[1:]


def _weights(env: Any) -> dict[str, torch.Tensor]:
    return env.trainer.state()[0]


@settings(max_examples=N_SEQUENCES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations=OPERATIONS, ring=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_forks_never_disturb_the_parent(operations: list[tuple[Any, ...]], ring: bool, seed: int) -> None:
    """The first environment is the parent; what it does alone is done by a second from the same seed, too.

    Nor do snapshots change that were taken on the way.
    """
    with (
        patch.object(gan_gym.envs.points, "N_SCORED", 32),
        patch.object(gan_gym.envs.points, "N_COUNTED", 50),
    ):
        kind = RingGANEnv if ring else GridGANEnv
        parent, alone = kind(**ARGUMENTS), kind(**ARGUMENTS)
        for env in (parent, alone):
            env.reset(seed=seed)
        family, kept = [parent], [parent.snapshot()]
        copies = [copy.deepcopy(kept[0])]
        for name, *arguments in operations:
            which = family[int(arguments[0]) % len(family)] if name != "parent" else parent
            if name == "fork":
                family.append(which.fork())
            elif name == "keep":
                kept.append(which.snapshot())
                copies.append(copy.deepcopy(kept[-1]))
            elif name == "step" and which is not parent and not which.current()[1]["end"]:
                _step(which, arguments[1])
            elif name == "restore" and which is not parent:
                which.restore(kept[arguments[1] % len(kept)])
            elif name == "reset" and which is not parent:
                which.reset(seed=arguments[1])
            elif name == "parent" and not parent.current()[1]["end"]:
                assert _equal(_step(parent, arguments[0]), _step(alone, arguments[0]))
        for snapshot, as_it_was in zip(kept, copies, strict=True):
            assert snapshot.values == as_it_was.values
            assert all(torch.equal(x, as_it_was.tensors[key]) for key, x in snapshot.tensors.items())
        ours, theirs = _weights(parent), _weights(alone)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
        if not parent.current()[1]["end"]:
            assert _equal(_step(parent, 0.5), _step(alone, 0.5))


@pytest.mark.parametrize(("kind", "arguments"), [(GridGANEnv, {}), (HistoGANEnv, {"inner_steps": 10})])
def test_a_snapshot_and_a_fork_are_cheaper_than_a_step(kind: type, arguments: dict[str, Any]) -> None:
    """Of the defaults; a step of tissue even with a fifth of its updates."""
    env = kind(**arguments, device="cpu")
    env.reset(seed=0)

    def seconds(act: Callable[[], object], n: int) -> float:
        times = []
        for _ in range(n):
            began = time.perf_counter()
            act()
            times.append(time.perf_counter() - began)
        return min(times)

    step = seconds(lambda: _step(env, 0.0), 3)
    assert seconds(env.snapshot, 9) < step / 4
    assert seconds(env.fork, 9) < step
