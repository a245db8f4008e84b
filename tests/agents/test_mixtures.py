"""A mixture trains every kind of environment it names, each as it would be trained alone."""

from __future__ import annotations

import numpy as np
import pytest

import agents
import agents.mixtures
from agents.mixtures import MIXTURES, Share, shares_of
from agents.training import train
from gan_gym.instances import INSTANCES

TINY = {"inner_steps": 1, "episode_steps": 3}
SMALL = (Share("GridGAN-v0", 3, {"batch_size": 8}), Share("RingGAN-v0", 2))


@pytest.fixture
def small_mixture(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(MIXTURES, "small", SMALL)
    return "small"


def test_shares_keep_their_own_arguments_and_take_the_others(small_mixture: str) -> None:
    grid, ring = shares_of(small_mixture, None, {"batch_size": 16, "inner_steps": 1})
    assert grid.kwargs == {"batch_size": 8, "inner_steps": 1}
    assert ring.kwargs == {"batch_size": 16, "inner_steps": 1}
    assert shares_of("GridGAN-v0", 5, TINY) == (Share("GridGAN-v0", 5, TINY),)


def test_a_mixture_has_its_own_numbers(small_mixture: str) -> None:
    with pytest.raises(ValueError, match="n_envs is 4; leave it out"):
        shares_of(small_mixture, 4, {})


@pytest.mark.parametrize("share", [share for shares in MIXTURES.values() for share in shares])
def test_no_mixture_holds_what_is_held_out(share: Share) -> None:
    assert share.id != "RingGAN-v0"
    assert share.kwargs.get("networks", "mlp") == "mlp"
    assert "data" not in share.kwargs
    assert "loss" not in share.kwargs


def test_each_kind_trains_as_it_does_alone(small_mixture: str) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 4)).astype(np.float32)
    mixed = agents.make_env(small_mixture, "ppo", seed=7, instances="train", **TINY)
    alone = [
        agents.make_env(
            share.id, "ppo", share.n_envs, seed=seed, instances="train", **{**TINY, **share.kwargs}
        )
        for share, seed in zip(SMALL, (7, 10), strict=True)
    ]
    try:
        np.testing.assert_allclose(mixed.reset(), np.concatenate([env.reset() for env in alone]), atol=1e-5)
        observations, rewards, _, _ = mixed.step(actions)
        parts = [env.step(part) for env, part in zip(alone, (actions[:3], actions[3:]), strict=True)]
        np.testing.assert_allclose(observations, np.concatenate([part[0] for part in parts]), atol=1e-3)
        np.testing.assert_allclose(rewards, np.concatenate([part[1] for part in parts]), atol=1e-3)
    finally:
        for env in (mixed, *alone):
            env.close()


def test_one_policy_learns_in_all_of_them(small_mixture: str) -> None:
    controller = train("ppo", small_mixture, 30, env_kwargs=TINY, n_steps=3, batch_size=15)
    assert controller.card["environment"] == small_mixture
    assert controller.card["n_envs"] == 5


def test_validation_instances_are_neither_trained_nor_tested_on() -> None:
    from gan_gym.instances import draw

    seeds = {
        name: {draw(name, np.random.default_rng(s), loss="hinge", settings={}).seed for s in range(200)}
        for name in INSTANCES
    }
    for name in INSTANCES:
        if name != "validation":
            assert not seeds["validation"] & seeds[name]
    assert {**vars(INSTANCES["validation"])} == {**vars(INSTANCES["train"])}


@pytest.mark.parametrize("name", MIXTURES)
def test_shares_of_a_mixture_can_be_told_apart(name: str) -> None:
    labels = [share.label for share in MIXTURES[name]]
    assert len(set(labels)) == len(labels)
