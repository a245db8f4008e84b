"""The best policy on validation instances is the one that is kept."""

from __future__ import annotations

import numpy as np
import pytest

import agents.validation
from agents.training import train
from agents.validation import PATIENCE, Validation

TINY = {"inner_steps": 1, "episode_steps": 3}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    """Let validations score what a test says, and remember the policies they saw."""

    def script(qualities: list[float]) -> list:
        seen: list = []

        def validate(controller, shares, timesteps, n_episodes):
            seen.append({k: v.clone() for k, v in controller.policy.state_dict().items()})
            return Validation(timesteps, {"GridGAN-v0": qualities[len(seen) - 1]})

        monkeypatch.setattr(agents.validation, "validate", validate)
        return seen

    return script


def quick(**kwargs):
    return train("ppo", "GridGAN-v0", 60, n_envs=2, env_kwargs=TINY, n_steps=3, batch_size=6, **kwargs)


def test_the_best_is_returned_not_the_last(scripted) -> None:
    seen = scripted([0.1, 0.2, 0.5, 0.3, 0.2, 0.4, *[0.1] * 6])
    controller = quick(validated=True)
    kept = controller.policy.state_dict()
    assert all(np.array_equal(kept[name], seen[2][name]) for name in kept)
    assert not all(np.array_equal(kept[name], seen[3][name]) for name in kept)
    assert controller.card["validation"]["quality"] == 0.5
    assert (
        controller.card["validation"]["timesteps"] == controller.card["validation"]["course"][2]["timesteps"]
    )


def test_training_stops_when_it_gets_no_better(scripted) -> None:
    seen = scripted([0.5, *[0.4] * 20])
    quick(validated=True)
    assert len(seen) == 2 + PATIENCE  # and once more for what it learned before it stopped


def test_validation_changes_nothing_of_the_training(scripted) -> None:
    seen = scripted([0.1 * i for i in range(12)])
    quick(validated=True)
    plain = quick().policy.state_dict()
    assert all(np.array_equal(plain[name], seen[-1][name]) for name in plain)


def test_environments_count_equally() -> None:
    assert Validation(0, {"a": 0.2, "b": 0.6}).mean == pytest.approx(0.4)


def test_what_has_no_name_cannot_be_validated(toy) -> None:
    with pytest.raises(ValueError, match="validated needs the name"):
        train("ppo", toy("ppo", 2), 10, validated=True)


def test_real_validation_plays_validation_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    played = []
    monkeypatch.setattr(agents.validation, "N_EPISODES", {"points": 2, "images": 1})
    original = agents.validation.evaluate

    def evaluate(controller, id, **kwargs):
        played.append((id, kwargs["env_kwargs"]["instances"], kwargs["n_episodes"]))
        return original(controller, id, **kwargs)

    monkeypatch.setattr(agents.validation, "evaluate", evaluate)
    controller = quick(validated=True)
    assert set(played) == {("GridGAN-v0", "validation", 2)}
    assert 0 <= controller.card["validation"]["quality"] <= 1
