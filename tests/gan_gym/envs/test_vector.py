from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from gan_gym.knobs import DEFAULT_KNOBS

Make = Callable[..., Any]
N = 3
N_KNOBS = len(DEFAULT_KNOBS)
SMALL = {"inner_steps": 2, "batch_size": 8, "device": "cpu"}


def _population(env_id: str = "GridGAN-v0", n: int = N, **kwargs: Any) -> Any:
    arguments = {**SMALL, **kwargs}
    return gym.make_vec(env_id, num_envs=n, vectorization_mode="vector_entry_point", **arguments)


def _actions(n: int, n_steps: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n_steps, n, N_KNOBS)).astype(np.float32)


def _assert_infos_close(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert set(left) == set(right)
    for key, values in right.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(left[key], values, rtol=2e-2, atol=2e-2, err_msg=key)
        elif key not in ("modes", "modes20"):
            assert left[key].tolist() == values.tolist(), key


def test_population_equals_single_environments_beyond_their_ends(env_id: str) -> None:
    """Gymnasium's own vector of single environments is the reference, autoreset at the next step included."""
    arguments = {**SMALL, "episode_steps": 2, "instances": "train"}
    n = N if env_id == "GridGAN-v0" else 2
    population = _population(env_id, n, **arguments)
    singles = gym.make_vec(
        env_id,
        num_envs=n,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.NEXT_STEP},
        **arguments,
    )
    assert population.metadata["autoreset_mode"] == singles.metadata["autoreset_mode"]
    assert population.observation_space == singles.observation_space
    assert population.action_space == singles.action_space
    results = [vector.reset(seed=[5, 6, 7][:n]) for vector in (population, singles)]
    for actions in _actions(n, 4):
        (ours, our_info), (theirs, their_info) = ((result[0], result[-1]) for result in results)
        np.testing.assert_allclose(ours, theirs, atol=2e-2)
        _assert_infos_close(our_info, their_info)
        results = [vector.step(actions) for vector in (population, singles)]
        (_, r, terminated, truncated, _), (_, r_ref, terminated_ref, truncated_ref, _) = results
        np.testing.assert_allclose(r, r_ref, atol=2e-2)
        assert terminated.tolist() == terminated_ref.tolist()
        assert truncated.tolist() == truncated_ref.tolist()
        assert population.observation_space.contains(results[0][0])
    singles.close()
    population.close()


def test_one_seed_is_counted_up(make: Make) -> None:
    population = _population()
    counted, _ = population.reset(seed=5)
    listed, info = population.reset(seed=[5, 6, 7])
    tupled, _ = population.reset(seed=(5, 6, 7))
    assert np.array_equal(counted, listed)
    assert np.array_equal(counted, tupled)
    expected = [make(batch_size=8).reset(seed=5 + i)[1]["instance_seed"] for i in range(N)]
    assert info["instance_seed"].tolist() == expected


def test_partial_reset_leaves_the_others_where_they_are() -> None:
    population, twin = _population(), _population()
    for vector in (population, twin):
        vector.reset(seed=0)
        vector.step(_actions(N, 1)[0])
    before = np.array([env.current()[0] for env in population.envs])
    observations, info = population.reset(
        seed=[9, 9, 9], options={"reset_mask": np.array([False, True, False])}
    )
    assert info["env_step"].tolist() == [1, 0, 1]
    assert np.array_equal(observations[::2], before[::2])
    assert not np.array_equal(observations[1], before[1])
    after, after_twin = (vector.step(_actions(N, 2)[1])[0] for vector in (population, twin))
    np.testing.assert_allclose(after[::2], after_twin[::2], atol=2e-2)


def test_partial_step_moves_the_others_not() -> None:
    population = _population()
    population.reset(seed=0)
    observations, rewards, terminated, infos = population.step_envs(
        _actions(N, 1)[0], np.array([True, False, True])
    )
    assert [info.get("env_step") for info in infos] == [1, None, 1]
    assert [env.current()[1]["env_step"] for env in population.envs] == [1, 0, 1]
    assert not observations[1].any()
    assert rewards[1] == 0
    assert not terminated.any()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda actions: actions * [[1], [1], [np.nan]], "leaves"),
        (lambda actions: np.add(actions, [[0], [0], [2]]), "leaves"),
        (lambda actions: actions[:2], "2 actions for 3"),
        (lambda actions: [*actions[:2], actions[2][:1]], "shape"),
    ],
)
def test_a_wrong_action_changes_nothing(change: Callable[[np.ndarray], Any], complaint: str) -> None:
    population, twin = _population(), _population()
    for vector in (population, twin):
        vector.reset(seed=0)
        vector.step(_actions(N, 1)[0])
    with pytest.raises(ValueError, match=complaint):
        population.step(change(_actions(N, 2)[1]))
    for env, other in zip(population.envs, twin.envs, strict=True):
        assert env.snapshot().values == other.snapshot().values
    results = [vector.step(_actions(N, 2)[1]) for vector in (population, twin)]
    assert all(
        np.array_equal(left, right) for left, right in zip(results[0][:4], results[1][:4], strict=True)
    )


def test_an_ended_episode_is_refused_before_the_others_move() -> None:
    population = _population(episode_steps=1)
    population.reset(seed=0)
    actions = _actions(N, 1)[0]
    population.step_envs(actions, np.array([False, False, True]))
    before = population.call("snapshot")
    with pytest.raises(gym.error.ResetNeeded, match="budget"):
        population.step_envs(actions)
    assert [env.snapshot().values for env in population.envs] == [snapshot.values for snapshot in before]


def test_a_diverged_member_ends_alone_and_starts_anew() -> None:
    population = _population()
    population.reset(seed=0)
    population.envs[1].trainer.g.vector.data.fill_(np.nan)
    _, rewards, terminated, _, info = population.step(np.zeros((N, N_KNOBS), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert info["end"].tolist() == ["", "diverged", ""]
    assert np.isfinite(rewards).all()
    observations, rewards, terminated, _, info = population.step(np.zeros((N, N_KNOBS), np.float32))
    assert not terminated.any()
    assert info["env_step"].tolist() == [2, 0, 2]
    assert rewards[1] == 0
    assert np.isfinite(observations).all()


def test_options_and_snapshots_reach_every_member() -> None:
    population = _population()
    _, info = population.reset(seed=0, options={"g_lr": 5e-3})
    assert info["g_lr"].tolist() == [5e-3] * N
    snapshot = population.envs[2].snapshot()
    observations, info = population.reset(options={"snapshot": snapshot})
    assert len(set(info["instance_seed"].tolist())) == 1
    assert (observations == observations[0]).all()
    observations, _ = population.reset(seed=[1, 2, 3], options={"snapshot": snapshot})
    assert (observations == observations[0]).all()
    assert len(set(population.reset()[1]["instance_seed"].tolist())) == N


def test_renders_one_frame_a_member() -> None:
    population = _population(n=2, render_mode="rgb_array")
    population.reset(seed=0)
    frames = population.render()
    assert len(frames) == 2
    assert not np.array_equal(*frames)
    assert _population(n=2).render() is None


def test_call_reaches_every_member() -> None:
    population = _population()
    population.reset(seed=0)
    population.call("set_knobs", {"d_lr": 2e-3})
    assert [env.trainer.settings.d_lr for env in population.envs] == [2e-3] * N
    assert population.call("inner_steps") == (2,) * N


def test_attributes_are_read_and_set_as_of_gymnasiums_own_vectors() -> None:
    """`knobs` is a tuple itself: `get_attr` gives one an environment, and a list sets one an environment."""
    arguments = {**SMALL, "num_envs": N}
    singles = gym.make_vec("GridGAN-v0", vectorization_mode="sync", **arguments)
    for vector in (_population(), singles):
        vector.set_attr("inner_steps", 5)
        assert vector.get_attr("inner_steps") == (5, 5, 5)
        vector.set_attr("inner_steps", [3, 3, 4])
        assert vector.get_attr("inner_steps") == (3, 3, 4)
        assert (
            vector.get_attr("knobs")
            == vector.call("knobs")
            == (vector.envs[0].get_wrapper_attr("knobs"),) * N
        )
        with pytest.raises(ValueError, match=r"2.* values .* 3 environments"):
            vector.set_attr("inner_steps", (1, 2))
        with pytest.raises(AttributeError, match="n_inner"):
            vector.get_attr("n_inner")
    singles.close()


@pytest.mark.parametrize("mask", [[True, True, False], [False, True, True]])
def test_environments_that_were_never_reset_cannot_be_left_out(mask: list[bool]) -> None:
    population = _population()
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        population.reset(seed=0, options={"reset_mask": np.array(mask)})
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        population.envs[1].current()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"seed": [1, 2]}, "seed names 2 seeds"),
        ({"seed": (1, 2, 3, 4)}, "seed names 4 seeds"),
        ({"options": {"reset_mask": np.array([True])}}, "reset_mask"),
        ({"options": {"reset_mask": [0, 1, 1]}}, "reset_mask"),
        ({"options": {"g_lrr": 1}}, "did you mean 'g_lr'"),
    ],
)
def test_wrong_resets_are_named(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        _population().reset(**arguments)


def test_wrong_numbers_and_early_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="num_envs is 0"):
        _population(n=0)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        _population().step(np.zeros((N, N_KNOBS), np.float32))


def test_two_worker_processes_equal_single_environments() -> None:
    arguments = {**SMALL, "num_envs": 2, "episode_steps": 2, "instances": "train"}
    runs = []
    for mode in ("async", "sync"):
        vector = gym.make_vec("gan_gym:GridGAN-v0", vectorization_mode=mode, **arguments)
        rows = [vector.reset(seed=3)[0], *(vector.step(a)[0] for a in _actions(2, 4))]
        runs.append(np.array(rows))
        vector.close()
    assert np.array_equal(*runs)


def test_the_population_of_all_outlives_smaller_ones() -> None:
    vector = _population(n=4)
    vector.reset(seed=0)
    action = np.zeros((4, N_KNOBS), np.float32)
    vector.step_envs(action)
    whole = vector._populations[True]
    for n in (3, 2, 4):
        vector.step_envs(action, np.arange(4) < n)
    assert vector._populations[True] is whole
    assert len(vector._populations) == 2


def test_why_gans_are_trained_in_turn_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    vector = _population("StackedDigitsGAN-v0", 2)
    vector.reset(seed=0)
    with caplog.at_level("INFO"):
        for _ in range(2):
            vector.step(np.zeros((2, N_KNOBS), np.float32))
    assert [record.message for record in caplog.records if record.name == "gan_gym.envs.vector"] == [
        "these GANs are trained in turn: on a cpu their convolutions gain nothing from being batched"
    ]
