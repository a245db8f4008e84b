"""A dry run says how long the run's updates will take, in a unit one would say it in."""

from __future__ import annotations

import re

import pytest
import torch

from agents import forecast


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 seconds"), (119.0, "119 seconds"), (150.0, "2.5 minutes"), (36_000.0, "10 hours")],
)
def test_the_time_of_all_updates_is_said(train_quickly, tmp_path, capsys, monkeypatch, seconds, said) -> None:
    monkeypatch.setattr(forecast, "seconds_per_update", lambda _: seconds / 20)
    assert train_quickly(tmp_path / "run", "--dry_run") == 0
    assert f"time: about {said} for 20 updates, at {seconds / 20:.2g} s each" in capsys.readouterr().out


def test_twice_the_images_take_twice_as_long(train_quickly, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(forecast, "seconds_per_update", lambda _: 1.0)
    assert train_quickly(tmp_path / "run", "--dry_run", n_images=320) == 0
    assert "about 40 seconds for 40 updates" in capsys.readouterr().out


def test_it_is_measured_without_touching_the_global_generator(train_quickly, tmp_path, capsys) -> None:
    before = torch.random.get_rng_state()
    assert train_quickly(tmp_path / "run", "--dry_run") == 0
    found = re.search(r"at (\S+) s each now", capsys.readouterr().out)
    assert found is not None
    assert 1e-5 < float(found[1]) < 10
    assert torch.random.get_rng_state().equal(before)
