"""What is hidden is neither learned from nor acted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from agents import Controller, train
from agents.hiding import hidden_rows, hide
from gan_gym.knobs import DEFAULT_KNOBS, resolve
from gan_gym.observations import GROUPS, groups, names

NAMES = np.array(names(resolve(DEFAULT_KNOBS)))
QUICK = {"inner_steps": 1, "episode_steps": 3}
N_STEPS = 480


def trained(toy: Any, hidden: Any, algo: str = "ppo", **kwargs: Any) -> Controller:
    return train(algo, toy(algo, 2), N_STEPS, hidden=hidden, **kwargs)


@pytest.fixture
def lying(toy: Any) -> Any:
    """The toy, except that the rows of a group are noise."""

    def make(group: str, seed: int) -> type:
        rows = hidden_rows([group], DEFAULT_KNOBS)

        class Lying(toy):
            def observe(self) -> np.ndarray:
                observations = super().observe()
                noise = np.random.default_rng(seed).uniform(-1, 1, observations.shape)
                observations[:, rows] = noise[:, rows]
                return observations

        return Lying

    return make


@pytest.mark.parametrize("group", GROUPS)
def test_rows_are_those_of_the_groups(group: str) -> None:
    rows = hidden_rows([group], DEFAULT_KNOBS)
    assert rows.shape == NAMES.shape
    assert rows.tolist() == [own == group for own in groups(resolve(DEFAULT_KNOBS))]
    both = hidden_rows([group, "time"], DEFAULT_KNOBS)
    np.testing.assert_array_equal(both, rows | hidden_rows("time", DEFAULT_KNOBS))
    assert not hidden_rows([], DEFAULT_KNOBS).any()


def test_an_unknown_group_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ValueError, match="unknown observation group 'loses'; did you mean 'losses'"):
        train("ppo", "GridGAN-v0", 10, hidden=("loses",))


@pytest.mark.parametrize("algo", ["ppo", "sac", "dqn", "recurrent_ppo"])
def test_hidden_rows_do_not_influence_the_action_and_others_do(algo: str, toy: Any) -> None:
    controller = trained(toy, ("similarity", "positions"), algo)
    rows = hidden_rows(("similarity", "positions"), DEFAULT_KNOBS)
    rng = np.random.default_rng(0)
    seen, other = rng.uniform(-1, 1, (2, 64, len(rows))).astype(np.float32)

    def actions(observations: np.ndarray) -> np.ndarray:
        return controller.predict(observations)[0]

    np.testing.assert_array_equal(actions(np.where(rows, other, seen)), actions(seen))
    assert not np.array_equal(actions(np.where(rows, seen, other)), actions(seen))


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_what_is_hidden_changes_nothing_of_what_is_learned(algo: str, toy: Any, lying: Any) -> None:
    weights = [
        {
            name: value.tolist()
            for name, value in trained(lying("scores", seed), hidden, algo).policy.state_dict().items()
        }
        for seed, hidden in ((1, ("scores",)), (2, ("scores",)), (1, ()), (2, ()))
    ]
    assert weights[0] == weights[1]
    assert weights[2] != weights[3]


def test_what_tells_the_situations_apart_cannot_be_used_once_it_is_hidden(toy: Any) -> None:
    """In the toy the first row, one of the losses, says which way the knobs must go."""
    env = toy("ppo", 8)
    score = {
        hidden: env.score(train("ppo", toy("ppo", 8), 2000, hidden=hidden, n_steps=20, batch_size=80).predict)
        for hidden in ((), ("losses",))
    }
    assert score[()] > 0.5
    assert score["losses",] < 0.3  # 0.2 for standing still


def test_the_controller_forgets_nothing_of_it_when_it_is_copied_saved_or_loaded(
    toy: Any, tmp_path: Path
) -> None:
    controller = trained(toy, ("losses", "last_actions"))
    rows = hidden_rows(("losses", "last_actions"), DEFAULT_KNOBS)
    controller.save(tmp_path)
    for same in (controller.copy(), Controller.load(tmp_path)):
        assert same.card["hidden"] == ["losses", "last_actions"]
        seen, wild = (np.where(rows, np.float32(x), np.float32(0.3)) for x in (0, 1))
        np.testing.assert_array_equal(same.predict(wild)[0], controller.predict(seen)[0])
        assert not np.array_equal(same.predict(seen)[0], same.predict(-seen)[0])


def test_statistics_of_all_other_rows_are_those_of_a_training_that_hides_nothing(toy: Any) -> None:
    rows = hidden_rows(("losses",), DEFAULT_KNOBS)
    first, second = (trained(toy, hidden) for hidden in ((), ("losses",)))
    np.testing.assert_array_equal(first.std[~rows], second.std[~rows])
    np.testing.assert_array_equal(first.mean, second.mean)


def test_a_rule_can_be_imitated_without_what_is_hidden() -> None:
    settings = {"n_envs": 2, "env_kwargs": QUICK, "n_steps": 3, "batch_size": 6}
    controller = train("ppo", "GridGAN-v0", 6, imitated="cosine", hidden="time", **settings)
    assert NAMES[controller.std > 1e20].tolist() == ["progress_remaining"]
    rows = np.zeros((2, len(NAMES)), np.float32)
    rows[1, NAMES == "progress_remaining"] = 1
    actions = controller.predict(rows)[0]
    np.testing.assert_array_equal(actions[0], actions[1])


def test_hide_is_for_good(toy: Any) -> None:
    rows = hidden_rows(("losses",), DEFAULT_KNOBS)
    normalised = VecNormalize(toy("ppo", 4))
    hide(normalised, rows)
    seen = [normalised.reset()]
    for _ in range(20):
        observations, _, _, infos = normalised.step(np.zeros((4, len(DEFAULT_KNOBS)), np.float32))
        seen += [observations, *(info["terminal_observation"][None] for info in infos if info)]
    everything = np.concatenate(seen)
    assert np.abs(everything[:, rows]).max() < 1e-20
    assert normalised.get_original_obs()[:, rows].any()
