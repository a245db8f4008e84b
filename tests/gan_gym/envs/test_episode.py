"""Rewards, ends, knobs and options, on the environment that is quickest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gan_gym.envs.gan_env import COLLAPSE_PATIENCE
from gan_gym.knobs import DEFAULT_KNOBS, KNOBS
from gan_gym.observations import names

Make = Callable[..., Any]
KEEP = np.zeros(len(DEFAULT_KNOBS), np.float32)


@pytest.mark.parametrize("env_id", ["GridGAN-v0", "RingGAN-v0"])
def test_budget_terminates_and_the_return_telescopes(make: Make, env_id: str) -> None:
    env = make(env_id, episode_steps=6, inner_steps=5)
    _, start = env.reset(seed=0)
    steps = [env.step(env.action_space.sample()) for _ in range(6)]
    assert [s[2] for s in steps] == [False] * 5 + [True]
    assert not any(s[3] for s in steps)
    end = steps[-1][4]
    assert end["end"] == "budget"
    assert sum(s[1] for s in steps) == pytest.approx(end["quality"] - start["quality"])
    assert all(s[1] == pytest.approx(s[4]["reward_quality"] + s[4]["reward_divergence"]) for s in steps)
    with pytest.raises(gym.error.ResetNeeded, match="budget"):
        env.step(KEEP)
    assert env.reset()[1]["env_step"] == 0


def test_changes_are_those_between_the_last_two_steps(make: Make) -> None:
    env = make(inner_steps=5)
    env.reset(seed=0)
    (*_, one), (observation, *_, two) = env.step(KEEP), env.step(KEEP)
    row = dict(zip(names(env.knobs), observation.tolist(), strict=True))
    for name, unit in (("g_loss", math.log(4)), ("d_loss", math.log(4)), ("fidelity", 0.1), ("quality", 0.1)):
        assert row[f"{name}_change"] == pytest.approx(math.tanh((two[name] - one[name]) / unit), abs=1e-6)


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("reward", ["quality", "loss_gap"])
def test_divergence_terminates_with_a_finite_penalty(make: Make, value: float, reward: str) -> None:
    env = make(reward=reward)
    env.reset(seed=0)
    for _ in range(2):
        *_, before = env.step(KEEP)
    env.trainer.d.vector.data[5] = value
    observation, r, terminated, truncated, info = env.step(KEEP)
    assert (terminated, truncated) == (True, False)
    assert (info["end"], info["diverged"]) == ("diverged", True)
    assert env.observation_space.contains(observation)
    json.dumps(info, allow_nan=False)
    assert info["reward_divergence"] == -1
    assert math.isfinite(r)
    if reward == "quality":
        assert r == pytest.approx(-before["quality"] - 1)
    assert (info["quality"], info["modes"], info["modes20"], info["hq"]) == (0, 0, 0, 0)
    assert info["d_loss"] == before["d_loss"], "the last finite loss is shown"
    _, info = env.reset()
    assert (info["end"], info["diverged"], info["g_loss"]) == ("", False, 0)


def test_absurd_learning_rates_end_in_divergence(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    env.set_knobs({"g_lr": 1e8, "d_lr": 1e8})
    infos = []
    while not (infos and infos[-1]["end"]):
        observation, *_, info = env.step(KEEP)
        assert env.observation_space.contains(observation)
        json.dumps(info, allow_nan=False)
        infos.append(info)
        assert len(infos) < 5
    assert infos[-1]["end"] == "diverged"


def test_a_generator_that_makes_one_sample_has_collapsed(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    env.set_knobs({"g_lr": 0.0})
    for network in (env.trainer.g, env.trainer.g_ema):
        network.vector.data.zero_()
    steps = [env.step(KEEP) for _ in range(COLLAPSE_PATIENCE)]
    assert [s[2] for s in steps] == [False] * (COLLAPSE_PATIENCE - 1) + [True]
    assert steps[-1][4]["end"] == "collapsed"
    assert not steps[-1][4]["diverged"]
    assert steps[-1][1] == pytest.approx(0)


def test_collapse_that_passes_is_forgiven(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    healthy = env.trainer.g_ema.vector.detach().clone()
    env.set_knobs({"g_lr": 0.0})
    ends = []
    for step in range(2 * COLLAPSE_PATIENCE):
        same = step % COLLAPSE_PATIENCE != 0
        for network in (env.trainer.g, env.trainer.g_ema):
            network.vector.data.copy_(0 * healthy if same else healthy)
        ends.append(env.step(KEEP)[4]["end"])
    assert set(ends) == {""}


@pytest.mark.parametrize("name", KNOBS)
def test_actions_turn_the_setting_they_are_named_for(make: Make, name: str) -> None:
    env = make(knobs=[name])
    _, start = env.reset(seed=0, options={name: (KNOBS[name].low * KNOBS[name].high) ** 0.5})
    before = getattr(env.trainer.settings, name)
    observation, *_, info = env.step(np.array([-0.5], np.float32))
    after = getattr(env.trainer.settings, name)
    assert after == pytest.approx(before * KNOBS[name].max_factor ** -0.5)
    assert info[name] == after
    assert observation[-2:].tolist() == pytest.approx([KNOBS[name].position(after), -0.5])
    others = set(KNOBS) - {name, name.replace("_update_ratio", "_lr")}
    assert all(info[other] == start[other] for other in others)


def test_knobs_change_the_run_and_zero_keeps_them(make: Make) -> None:
    def end(action: list[float]) -> tuple[float, np.ndarray]:
        env = make(knobs=["g_lr", "d_lr"])
        env.reset(seed=0)
        env.step(np.array(action, np.float32))
        return env.trainer.settings.g_lr, env.trainer.g.vector.detach().numpy()

    (kept, same), (up, moved) = end([0, 0]), end([1, 0])
    assert kept == 1e-3
    assert up == pytest.approx(2e-2)  # 32-fold, up to the limit
    assert not np.array_equal(same, moved)


def test_set_knobs_is_exact_and_checked(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    env.set_knobs({"d_lr": 0.123, "d_steps": np.int64(2), "augment_p": np.float32(0.5)})
    *_, info = env.step(KEEP)
    assert (info["d_lr"], info["d_steps"], info["augment_p"]) == (0.123, 2.0, 0.5)
    json.dumps(info)
    with pytest.raises(ValueError, match="unknown knob 'd_stesp'; did you mean 'd_steps'"):
        env.set_knobs({"d_stesp": 2})
    with pytest.raises(ValueError, match="d_steps"):
        env.set_knobs({"d_steps": 0})


def test_reward_weight_reaches_the_discriminator(make: Make) -> None:
    losses = []
    for weight in (0.0, 1.0):
        env = make("RingGAN-v0", batch_size=32)
        env.reset(seed=0, options={"reward_weight": weight})
        losses.append(env.step(KEEP)[4]["d_loss"])
    assert losses[1] < losses[0]


def test_reset_options_start_the_episode(make: Make) -> None:
    env = make(instances="test")
    _, info = env.reset(seed=0, options={"g_lr": 5e-3, "instance_noise": 0.0})
    assert (info["g_lr"], info["instance_noise"]) == (5e-3, 0.0)
    _, drawn = env.reset(seed=0)
    assert drawn["d_lr"] == info["d_lr"], "what is not named is drawn as before"
    assert drawn["g_lr"] != 5e-3
    with pytest.raises(ValueError, match="did you mean 'g_lr'"):
        env.reset(options={"g_rl": 1e-3})
    with pytest.raises(ValueError, match="d_lr"):
        env.reset(options={"d_lr": 1.0})


def test_instances_differ_from_reset_to_reset_and_between_splits(make: Make) -> None:
    seeds = {}
    for name in ("default", "train", "test"):
        env = make(instances=name)
        seeds[name] = {env.reset(seed=0 if i == 0 else None)[1]["instance_seed"] for i in range(4)}
        assert len(seeds[name]) == 4
    assert not seeds["train"] & seeds["test"]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"networks": "mpl"}, "did you mean 'mlp'"),
        ({"loss": "hinged"}, "did you mean 'hinge'"),
        ({"knobs": ["g_lrr"]}, "did you mean 'g_lr'"),
        ({"reward": "qualty"}, "did you mean 'quality'"),
        ({"instances": "tests"}, "did you mean 'test'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"inner_steps": -1}, "inner_steps is -1"),
        ({"episode_steps": 2.5}, "episode_steps is 2.5"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"std": -0.1}, "std is -0.1"),
        ({"spacing": 0}, "spacing is 0"),
    ],
)
def test_wrong_arguments_are_named_with_a_remedy(make: Make, wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make(**wrong)


def test_networks_of_the_wrong_kind_are_refused_at_reset(make: Make) -> None:
    with pytest.raises(ValueError, match="networks 'light'"):
        make(networks="light").reset(seed=0)


@pytest.mark.parametrize("action", [[0, 0], [0, 0, 2], [0, 0, math.nan]])
def test_wrong_actions_are_refused_and_change_nothing(make: Make, action: list[float]) -> None:
    env = make()
    env.reset(seed=0)
    env.step(KEEP)
    before, twin = env.current(), env.fork()
    with pytest.raises(ValueError, match="action"):
        env.step(np.array(action, np.float32))
    assert np.array_equal(env.current()[0], before[0])
    assert np.array_equal(env.step(KEEP)[0], twin.step(KEEP)[0])


def test_published_protocols_are_keyword_arguments(make: Make) -> None:
    assert make(spacing=2.0).problem.source.centres.abs().max() == 4
    assert make("RingGAN-v0", std=0.01).problem.source.std == 0.01
