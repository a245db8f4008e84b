from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gan_gym.envs.snapshot import Snapshot

Make = Callable[..., Any]


def _continue(env: Any, n_steps: int = 3, seed: int = 0) -> list[Any]:
    """Act, and when the episode has ended, start the next: everything that can be seen."""
    rng = np.random.default_rng(seed)
    seen: list[Any] = []
    ended = bool(env.current()[1]["end"])
    for _ in range(n_steps):
        if ended:
            observation, info = env.reset()
            reward = 0.0
        else:
            action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
            observation, reward, ended, _, info = env.step(action)
        seen.append((observation.tolist(), reward, info))
    return seen


def test_snapshot_restore_and_fork_are_exact(env_id: str, make: Make) -> None:
    env = make(env_id, instances="train", episode_steps=3)
    env.reset(seed=1)
    _continue(env, 1)
    snapshot, twin = env.snapshot(), env.fork()
    assert type(twin) is type(env)
    assert twin.problem is env.problem
    # beyond the end of the episode: the next instance is drawn from the same generator
    first, second = _continue(env, 4), _continue(twin, 4)
    env.restore(snapshot)
    third = _continue(env, 4)
    other = make(env_id, instances="train", episode_steps=3)
    observation, info = other.reset(options={"snapshot": snapshot})
    assert info["env_step"] == 1
    assert env.observation_space.contains(observation)
    assert first == second == third == _continue(other, 4)
    assert first[-1][2]["instance_seed"] != first[0][2]["instance_seed"]


def test_forks_share_no_state(make: Make) -> None:
    env = make()
    env.reset(seed=2)
    undisturbed = env.fork()
    child = env.fork()
    _continue(child, 2, seed=5)
    grandchild = child.fork()
    expected = _continue(child, 2)
    assert _continue(grandchild, 2) == expected
    assert _continue(env, 3) == _continue(undisturbed, 3)
    assert env.knobs == child.knobs == grandchild.knobs


def test_snapshots_survive_later_steps_and_json(make: Make) -> None:
    env = make(knobs=("g_update_ratio", "d_lr", "r1_gamma"))
    env.reset(seed=3)
    _continue(env, 2)
    snapshot = env.snapshot()
    text = json.dumps(snapshot.values, allow_nan=False)
    copies = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
    expected = _continue(env, 3)
    assert json.dumps(snapshot.values) == text
    assert all((copies[name] == snapshot.tensors[name]).all() for name in copies)
    env.restore(Snapshot(copies, json.loads(text)))
    assert _continue(env, 3) == expected


def test_the_picture_is_restored_too(make: Make) -> None:
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    _continue(env, 2)
    twin = env.fork()
    assert np.array_equal(env.render(), twin.render())


def test_an_ended_episode_stays_ended(make: Make) -> None:
    env = make(episode_steps=1)
    env.reset(seed=0)
    _continue(env, 1)
    assert env.fork().current()[1]["end"] == "budget"


def test_options_beside_a_snapshot_are_set(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    _continue(env, 1)
    snapshot = env.snapshot()
    _, info = env.reset(options={"snapshot": snapshot, "g_lr": 5e-4, "r1_gamma": 2.0})
    assert (info["g_lr"], info["r1_gamma"], info["env_step"]) == (5e-4, 2.0, 1)


def test_a_seed_beside_a_snapshot_draws_the_instances_after_it(make: Make) -> None:
    env, other = (make(instances="train", episode_steps=2) for _ in range(2))
    env.reset(seed=0)
    _continue(env, 1)
    snapshot = env.snapshot()
    own = env.reset()[1]["instance_seed"]
    followers = []
    for seed in (5, 5, 6, None):
        info = env.reset(seed=seed, options={"snapshot": snapshot})[1]
        assert (info["env_step"], info["instance_seed"]) == (
            1,
            snapshot.values["episode"]["instance"]["seed"],
        )
        followers.append(env.reset()[1]["instance_seed"])
    expected = [other.reset(seed=seed)[1]["instance_seed"] for seed in (5, 5, 6)]
    assert followers == [*expected, own]
    assert len(set(followers)) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"knobs": ["g_lr"]}, "knobs"),
        ({"reward": "loss_gap"}, "reward"),
        ({"networks": "tiny"}, "architecture"),
    ],
)
def test_a_foreign_snapshot_is_refused_and_nothing_changed(
    make: Make, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], complaint: str
) -> None:
    from gan_gym.gan import NETWORKS, Networks
    from gan_gym.gan.mlp import MLPDiscriminator, MLPGenerator

    tiny = Networks(
        lambda shape: MLPGenerator(shape, width=8), lambda shape: MLPDiscriminator(shape, width=8)
    )
    monkeypatch.setitem(NETWORKS, "tiny", tiny)
    foreign = make(**arguments)
    foreign.reset(seed=0)
    env = make()
    env.reset(seed=1)
    twin = env.fork()
    with pytest.raises(ValueError, match=complaint):
        env.restore(foreign.snapshot())
    assert _continue(env, 2) == _continue(twin, 2)
