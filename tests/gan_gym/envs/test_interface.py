"""What every id promises, whatever it trains."""

from __future__ import annotations

import json
import pickle
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from PIL import Image
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from gan_gym.knobs import DEFAULT_KNOBS, KNOBS

Make = Callable[..., Any]


def _rollout(env: Any, seed: int, n_steps: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = [np.append(env.reset(seed=seed)[0], 0.0)]
    for _ in range(n_steps):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        rows.append(np.append(observation, reward))
    return np.array(rows)


def test_both_checkers_pass_without_a_warning(env_id: str, make: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(env_id))
        sb3_check_env(make(env_id))


@pytest.mark.parametrize(
    "arguments", [{"instances": "train"}, {"render_mode": "rgb_array"}, {"knobs": list(KNOBS)[:8]}], ids=str
)
def test_checkers_pass_under_other_arguments(arguments: dict[str, Any], make: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(**arguments))
        sb3_check_env(make(**arguments))


def test_spec_round_trips(env_id: str) -> None:
    env = gym.make(env_id, inner_steps=2, device="cpu", knobs=["g_lr", "d_lr"])
    for spec in (gym.spec(env_id), env.spec):
        assert EnvSpec.from_json(spec.to_json()) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 (made here)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.action_space == env.action_space
    assert again.unwrapped.knobs == env.unwrapped.knobs


def test_ids_share_their_spaces(env_id: str, make: Make) -> None:
    env, grid = make(env_id), make()
    assert env.observation_space == grid.observation_space
    assert env.action_space == grid.action_space
    for space in (env.observation_space, env.action_space):
        assert space.dtype == np.float32
        assert (space.low == -1).all()
        assert (space.high == 1).all()
    assert [knob.name for knob in env.knobs] == list(DEFAULT_KNOBS)


def test_info_has_equal_keys_and_plain_finite_values(env_id: str, make: Make) -> None:
    env = make(env_id, episode_steps=2)
    _, first = env.reset(seed=3)
    infos = [first, *(env.step(env.action_space.sample())[4] for _ in range(2))]
    assert all(set(info) == set(first) for info in infos)
    for info in infos:
        assert json.loads(json.dumps(info, allow_nan=False)) == info
    assert [info["end"] for info in infos] == ["", "", "budget"]
    assert [info["n_images"] for info in infos] == [0, 8, 16]
    assert [info["env_step"] for info in infos] == [0, 1, 2]
    assert [info["progress_remaining"] for info in infos] == [1, 0.5, 0]
    countable = env.problem.count_modes is not None
    assert all(
        (info["modes"] >= 0) == (info["modes20"] >= 0) == (info["hq"] >= 0) == countable for info in infos
    )


def test_same_seed_same_run_other_seed_other_run(env_id: str, make: Make) -> None:
    def global_states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = global_states()
    first, again, other = (_rollout(make(env_id), seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    env = make(env_id)
    assert np.array_equal(_rollout(env, 7), _rollout(env, 7)), "an episode leaves something behind"
    assert global_states() == before


def test_nothing_is_allocated_before_the_first_reset(env_id: str, make: Make) -> None:
    env = make(env_id, render_mode="rgb_array")
    assert env._trainer is None
    assert env._problem is None
    for call in (
        lambda: env.step(np.zeros(len(DEFAULT_KNOBS), np.float32)),
        env.render,
        env.snapshot,
        env.fork,
    ):
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            call()
    assert env._problem is None


def test_renders_headless(env_id: str, make: Make) -> None:
    env = make(env_id, render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    env.step(np.zeros(len(DEFAULT_KNOBS), np.float32))
    assert frame.dtype == np.uint8
    assert frame.shape == (600, 800, 3)
    assert not np.array_equal(env.render(), frame)
    assert make(env_id).render() is None


def test_record_video_writes_an_episode(tmp_path: Path) -> None:
    env = gym.make("GridGAN-v0", inner_steps=2, episode_steps=2, render_mode="rgb_array")
    with gym.wrappers.RecordVideo(env, str(tmp_path / "video")) as recorded:
        recorded.reset(seed=0)
        for _ in range(2):
            recorded.step(np.zeros(len(DEFAULT_KNOBS), np.float32))
    (video,) = tmp_path.glob("video/*.mp4")
    assert video.stat().st_size > 1000


@pytest.mark.parametrize(
    ("given", "size"),
    [("64x48", (64, 48)), ("32", (32, 32)), ((16, 24), (16, 24)), ([24, 16], (24, 16)), (8, (8, 8))],
)
def test_a_size_is_read_as_everywhere_else(make: Make, given: Any, size: tuple[int, int]) -> None:
    env = make("HistoGAN-v0", image_size=given)
    assert env._problem_arguments["image_size"] == size
    with pytest.raises(ValueError, match="image_size 'big' is no size"):
        make("HistoGAN-v0", image_size="big")


def test_a_batch_of_patches_is_enough(make: Make, patch_folder: Path) -> None:
    """Of 40 patches, batches of 16 can be drawn and of 64 cannot: the remedy then works."""
    for n in (16, 40):
        env = make("HistoGAN-v0", data=str(patch_folder), image_size=16, batch_size=n)
        assert len(env.load()) == 40
        assert env.problem is not None
    env = make("HistoGAN-v0", data=str(patch_folder), image_size=16, batch_size=64)
    for ask in (env.load, lambda: env.problem):
        with pytest.raises(ValueError, match="40 patches, and 64 are needed"):
            ask()


def test_fewer_patches_than_statistics_need_are_refused(make: Make, tmp_path: Path) -> None:
    for i in range(7):
        Image.new("RGB", (16, 16), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match="7 patches, and 8 are needed"):
        make("HistoGAN-v0", data=str(tmp_path), image_size=16, batch_size=2).load()
