"""A policy that imitates a rule moves as the rule would."""

from __future__ import annotations

import numpy as np
import pytest

import agents.imitation
from agents.demonstration import move_towards
from agents.training import train
from gan_gym.knobs import KNOBS, apply, resolve


@pytest.mark.parametrize("start", [1e-5, 4e-4, 3e-3, 2e-2])
def test_moves_reach_the_target(start: float) -> None:
    knobs = resolve(("g_lr", "instance_noise"))
    target = {"g_lr": 3e-3, "instance_noise": 0.2}
    values = {"g_lr": start, "instance_noise": 0.0}
    for _ in range(6):
        values = apply(knobs, values, move_towards(target, values, knobs))
    assert values["g_lr"] == pytest.approx(3e-3, rel=0.02)
    assert values["instance_noise"] == pytest.approx(0.2, rel=0.02)


def test_a_knob_the_rule_does_not_set_is_kept() -> None:
    knobs = resolve(("g_lr", "r1_gamma"))
    move = move_towards({"g_lr": 2e-2}, {"g_lr": 1e-4, "r1_gamma": 1.0}, knobs)
    assert move.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_knob_to_be_off_is_turned_down_all_the_way(value: float) -> None:
    """Off already or not: a copy that errs by less than a whole move does not turn it on."""
    knob = KNOBS["instance_noise"]
    assert move_towards({"instance_noise": 0.0}, {"instance_noise": value}, [knob]).tolist() == [-1.0]


def test_the_policy_imitates(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a low start the copy raises learning rates and noise as the rule does."""
    monkeypatch.setattr(agents.imitation, "N_EPISODES", 6)
    arguments = {"inner_steps": 1, "episode_steps": 8}
    controller = train(
        "ppo", "GridGAN-v0", 64, n_envs=8, env_kwargs=arguments, imitated="tuned_schedule", learning_rate=1e-6
    )
    import gymnasium as gym

    env = gym.make("gan_gym:GridGAN-v0", **arguments)
    moves = []
    for seed in range(4):
        observation, _ = env.reset(seed=seed, options={"g_lr": 1e-5, "d_lr": 1e-5})
        moves.append(controller.predict(observation)[0])
    assert np.mean(moves, axis=0)[:3].min() > 0.5  # beta1 stays about where it is
    assert controller.card["imitated"] == "tuned_schedule"


@pytest.mark.parametrize(
    ("algo", "rule"), [("sac", "tuned_schedule"), ("recurrent_ppo", "tuned_schedule"), ("ppo", "random")]
)
def test_what_cannot_imitate_says_so(algo: str, rule: str) -> None:
    with pytest.raises(ValueError, match="cannot imitate"):
        train(algo, "GridGAN-v0", 64, n_envs=2, env_kwargs={"inner_steps": 1}, imitated=rule)


def test_rare_networks_count_as_much_as_frequent_ones() -> None:
    weights = agents.imitation._weights(["mlp"] * 6 + ["light"] * 2)
    assert weights.mean() == pytest.approx(1)
    assert weights[:6].sum() == pytest.approx(weights[6:].sum())
    assert agents.imitation._weights(["mlp"] * 3).tolist() == [1, 1, 1]
