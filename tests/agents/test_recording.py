from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents.controlled
import agents.resuming
from gan_gym.envs.histogan import HistoGANEnv


class Killed(BaseException):
    pass


def scalars(run, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.mark.parametrize("killed_at", [1, 4, 9])
def test_tensorboard_shows_each_step_of_a_killed_run_once(
    train_quickly, tmp_path, finished_run, monkeypatch, killed_at
) -> None:
    monkeypatch.setattr(agents.controlled, "N_CHECKPOINTS", 2)  # after the fifth step and the tenth
    real, count = HistoGANEnv.step, [0]

    def step(self, action):
        result = real(self, action)
        count[0] += 1
        if count[0] == killed_at:
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(HistoGANEnv, "step", step)
        with pytest.raises(Killed):
            train_quickly(tmp_path / "run")
    assert train_quickly(tmp_path / "run", "--resume") == 0
    for tag in ("quality", "g_loss", "g_lr", "n_rollbacks"):
        assert scalars(tmp_path / "run", tag) == scalars(finished_run, tag)


def test_what_a_checkpoint_knows_is_on_the_disk(train_quickly, tmp_path, monkeypatch) -> None:
    """A run may be killed right after any checkpoint, without a chance to close its files."""
    real, found = agents.resuming.save_run_state, []

    def save(run, state, **best) -> None:
        found.append((state.n_rows, len(scalars(run, "quality"))))
        real(run, state, **best)

    monkeypatch.setattr(agents.resuming, "save_run_state", save)
    assert train_quickly(tmp_path / "run") == 0
    assert len(found) > 2
    assert all(n_rows == n_shown for n_rows, n_shown in found)
