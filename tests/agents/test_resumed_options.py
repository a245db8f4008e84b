"""A run that is continued keeps its options; only what differs from them is called ignored."""

from __future__ import annotations

from dataclasses import replace

from agents.config import TrainConfig
from agents.pipeline import _resumed
from agents.run_folder import create_run


def test_the_same_options_in_another_form_are_not_called_ignored(tmp_path, monkeypatch, caplog) -> None:
    """Paths are kept absolute, `auto` and defaults as what they came to; sizes may be written in two ways."""
    monkeypatch.chdir(tmp_path)
    given = {"data": "p", "controller": "c", "reward_model": "m", "knobs": ["g_lr"], "mpp": 1.0}
    paths = {name: str(tmp_path / given[name]) for name in ("data", "controller", "reward_model")}
    settled = TrainConfig(**{**given, **paths}, image_size=16, networks="light", inner_steps=50)
    create_run(tmp_path / "run", settled)
    resumed = _resumed(TrainConfig(**given, out="run", resume=True, image_size="16x16"), "run")
    assert caplog.messages == []
    assert resumed == replace(settled, out="run", resume=True)
    monkeypatch.chdir(tmp_path / "run")
    assert _resumed(TrainConfig(**given, out=".", resume=True, image_size="16x24"), ".").image_size == 16
    ignored = [message.split(" is ignored")[0] for message in caplog.messages]
    assert ignored == ["--data p", "--controller c", "--image_size 16x24", "--reward_model m"]
