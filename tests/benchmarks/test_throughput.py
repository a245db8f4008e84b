"""`benchmarks.throughput` writes what the contract promises; how fast anything is, no test asks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks import costs, throughput
from benchmarks.costs import Scale
from benchmarks.plain_loop import PlainLoop
from benchmarks.timing import Ratio, side_by_side
from gan_gym.data.mixtures import MixtureSampler
from gan_gym.gan import build_networks

NAMES = {
    "trainer_over_plain_mlp",
    "trainer_over_plain_conv",
    "env_overhead_grid",
    "env_overhead_histo",
    "population32_over_single",
    "population32_over_subproc",
}
TINY = Scale(
    repeats=1,
    trainer_repeats=1,
    mlp_steps=1,
    conv_steps=1,
    population=2,
    env_kwargs={"inner_steps": 1, "batch_size": 4},
)


def test_writes_the_files_of_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(throughput, "QUICK", TINY)
    # workers in this process: starting two others takes longer than everything else here
    monkeypatch.setattr(costs, "SubprocVecEnv", lambda builders, start_method: DummyVecEnv(builders))
    n_threads = torch.get_num_threads()
    throughput.main(["--out", str(tmp_path / "out"), "--quick"])
    ratios = json.loads((tmp_path / "out" / "throughput.json").read_text())
    assert set(ratios) >= NAMES
    printed = capsys.readouterr().out
    for name, entry in ratios.items():
        assert set(entry) == {"ratio", "low", "high"}
        assert 0 < entry["low"] <= entry["ratio"] <= entry["high"], name
        assert name in printed
    details = json.loads((tmp_path / "out" / "seconds.json").read_text())
    assert details["device"] == "cpu"
    assert details["versions"]["torch"] == torch.__version__
    assert all(seconds > 0 for seconds in details["seconds"].values())
    assert (tmp_path / "out" / "throughput.png").stat().st_size > 0
    assert torch.get_num_threads() == n_threads


def test_times_pairs_in_turn_and_leaves_the_first_out() -> None:
    order: list[str] = []
    first, second = side_by_side(lambda: order.append("a"), lambda: order.append("b"), 3, lambda: None)
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert first.shape == second.shape == (3,)


def test_ratio_is_the_median_with_an_interval_around_it() -> None:
    ratio = Ratio.of(np.array([1.0, 2.0, 9.0, 2.0, 2.5]))
    assert ratio.ratio == 2.0
    assert 1.0 <= ratio.low <= 2.0 <= ratio.high <= 9.0


def test_the_plain_loop_trains_both_networks() -> None:
    source = MixtureSampler.grid()
    plain = PlainLoop(*build_networks("mlp", source.shape, seed=0), source, 8, averaged=True)
    before = [p.clone() for p in (*plain.g.parameters(), *plain.d.parameters())]
    plain.train(2)
    assert len(plain.losses) == 2
    after = [*plain.g.parameters(), *plain.d.parameters()]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
