"""`benchmarks.throughput` writes what the contract promises; how fast anything is, no test asks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv
from tqdm import tqdm

from benchmarks import cuda_costs, population_costs, throughput
from benchmarks.costs import Costs, Scale
from benchmarks.growth import mapped_patches
from benchmarks.memory_costs import kept_bytes, peak_memory
from benchmarks.plain_loop import PlainLoop
from benchmarks.statistics import interval
from benchmarks.timing import Ratio, side_by_side
from benchmarks.trainer_costs import step_flops
from gan_gym.data.mixtures import MixtureSampler
from gan_gym.gan import GANTrainer, TrainerConfig, build_networks

CONTRACT = {
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
    inner_steps={"mlp": 1, "conv": 1},
    threads=(1,),
    populations={"mlp": (2, 32), "conv": (1,)},
    population_repeats={"mlp": 1, "conv": 1},
    most_workers=2,
    memory={},
    rollouts={2: 2, 1: 3},
    compiled=False,
    controller_repeats=1,
    image_sizes=(8, 16),
    batch_sizes={"mlp": (4, 8), "conv": (4, 8)},
    n_patches=(8, 16),
    env_kwargs={"inner_steps": 1, "batch_size": 4},
)


class InProcess(DummyVecEnv):
    """Workers in this process: starting others takes longer than everything else here."""

    processes: tuple[Any, ...] = ()

    def __init__(self, builders: list[Callable[[], Any]], start_method: str) -> None:
        super().__init__(builders)


class InProcessAsync(SyncVectorEnv):
    def __init__(self, builders: list[Callable[[], Any]], context: str) -> None:
        super().__init__(builders)


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population_costs, "SubprocVecEnv", InProcess)
    monkeypatch.setattr(population_costs, "AsyncVectorEnv", InProcessAsync)
    monkeypatch.setattr("agents.environments.usable_cores", lambda: 1)


@pytest.mark.usefixtures("no_processes")
def test_writes_the_files_of_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(throughput, "QUICK", TINY)
    n_threads = torch.get_num_threads()
    throughput.main(["--out", str(tmp_path / "out"), "--quick"])
    assert torch.get_num_threads() == n_threads
    printed = capsys.readouterr().out
    ratios = json.loads((tmp_path / "out" / "throughput.json").read_text())
    assert set(ratios) >= CONTRACT | {
        "trainer_over_plain_conv_channels_last",
        "inner_step_over_arithmetic_mlp",
        "population2_over_async_mlp",
        "population1_over_subproc_conv",
        "ppo_2_envs_over_1_env",
        "ppo_1_env_update_share",
        "growth_image_size_conv_16",
        "growth_batch_size_mlp_8",
        "growth_data_set_conv_16",
    }
    assert ratios["population32_over_single"] == ratios["population32_over_single_mlp"]
    assert not any("cuda" in name or "population32_over_async" in name for name in ratios)
    for name, entry in ratios.items():
        assert set(entry) == {"ratio", "low", "high"}
        assert 0 < entry["low"] <= entry["ratio"] <= entry["high"] < math.inf, name
        assert f"| {name} |" in printed
    details = json.loads((tmp_path / "out" / "seconds.json").read_text())
    assert details["device"] == "cpu"
    assert "Device: cpu" in printed
    assert details["versions"]["torch"] == torch.__version__
    figures = {**details["seconds"], **details["per_second"]}
    assert all(0 < figure < math.inf for figure in figures.values())
    assert all(name in printed for name in (*figures, *details["notes"]))
    assert sum("GFLOP/s" in note for note in details["notes"]) == 2
    assert sum("make_env" in note and "population" in note for note in details["notes"]) == 2
    curves = {(curve["panel"], curve["label"]): curve for curve in details["curves"]}
    for rival, sizes in (("single", [2, 32]), ("subproc", [2, 32]), ("async", [2])):
        speedup = curves["population, mlp", rival]
        assert (speedup["unit"], speedup["x"]) == ("times", sizes)
        assert speedup["y"] == [ratios[f"population{n}_over_{rival}_mlp"] for n in sizes]
    for panel, label, points in (
        ("population", "mlp, make_env", [2, 32]),
        ("image size", "conv", [8, 16]),
        ("batch size", "mlp", [4, 8]),
        ("batch size", "conv", [4, 8]),
        ("data set", "conv", [8, 16]),
    ):
        curve = curves[panel, label]
        assert (curve["unit"], curve["x"]) == ("s", points)
        assert all(0 < y["low"] <= y["ratio"] <= y["high"] < math.inf for y in curve["y"])
    assert (tmp_path / "out" / "throughput.png").stat().st_size > 0


def test_a_full_run_covers_what_was_asked_for() -> None:
    scale = Scale()
    for whole in (scale, scale.on(torch.device("cuda")), throughput.QUICK):
        assert 32 in whole.populations["mlp"]
        assert min(whole.repeats, whole.trainer_repeats, whole.controller_repeats) >= 5
        assert min(whole.population_repeats.values()) >= 5
    assert set(scale.populations["mlp"]) >= {1, 4, 16, 64}
    assert set(scale.populations["conv"]) >= {1, 4, 16}
    assert set(scale.on(torch.device("cuda")).populations["conv"]) >= {1, 4, 16, 32, 64}
    assert scale.on(torch.device("cpu")) == scale
    assert scale.image_sizes == (32, 64, 128, 256)
    assert scale.n_patches == (10**3, 10**4, 10**5, 10**6)


@pytest.mark.usefixtures("no_processes")
def test_workers_are_closed_where_something_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(InProcess, "close", lambda self: closed.append("subproc"))
    monkeypatch.setattr(InProcessAsync, "close", lambda self, terminate: closed.append(f"async {terminate}"))
    forms = population_costs.forms_of("GridGAN-v0", 2, True, {"inner_steps": 1, "batch_size": 4})
    with pytest.raises(RuntimeError, match="in a step"), forms:
        raise RuntimeError("in a step")
    assert closed == ["async True", "subproc"]


def test_memory_is_of_this_process_and_kept_bytes_are_counted_exactly() -> None:
    kwargs = {"inner_steps": 1, "batch_size": 4, "device": "cpu"}
    assert peak_memory("GridGAN-v0", 2, kwargs) > 2**20
    env = gym.make("gan_gym:GridGAN-v0", **kwargs).unwrapped
    env.reset(seed=0)
    g, d = (sum(p.numel() for p in network.parameters()) for network in build_networks("mlp", (2,), seed=0))
    frequencies, counters = 2 * 8, 2
    # weights, gradient and two moments of both networks, and the averaged generator
    assert kept_bytes(env) == 4 * (4 * (g + d) + g + frequencies + counters)


def test_flops_of_an_mlp_step_are_those_of_its_layers() -> None:
    batch = 8
    g = sum(2 * a * b for a, b in ((2, 64), (64, 64), (64, 2)))
    d_layers = [2 * a * b for a, b in ((18, 64), (64, 64), (64, 1))]
    d, frequencies = sum(d_layers), 2 * 2 * 8
    # D: G forward; D forward on both halves, twice that backward but for the points, which need no gradient
    d_update = g + 2 * (frequencies + d + 2 * d - d_layers[0])
    # G: forward and backward (not to the latents); D forward and backward to the points alone
    g_update = 3 * g - 2 * 2 * 64 + 2 * (frequencies + d)
    pair = build_networks("mlp", (2,), seed=0)
    trainer = GANTrainer(*pair, MixtureSampler.grid(), TrainerConfig(batch_size=batch))
    assert step_flops(trainer) == batch * (d_update + g_update)


def test_cuda_graphs_are_compared_with_eager_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU both sides are the eager step; that the comparison runs is all that can be seen."""
    monkeypatch.setattr(cuda_costs, "N_STEPS", 2)
    costs = Costs(TINY, torch.device("cpu"), tqdm(disable=True))
    cuda_costs.cuda_graphs(costs)
    assert set(costs.ratios) == {"cuda_graph_over_eager_conv"}
    assert throughput.GROUPS_ON_CUDA[-1] is cuda_costs.cuda_graphs
    assert cuda_costs.cuda_graphs not in throughput.GROUPS
    assert set(throughput.SAME_ON_CUDA) == {"cuda_population32_over_single_conv"}


def test_mapped_patches_take_no_room(tmp_path: Path) -> None:
    source = mapped_patches(tmp_path / "patches", 10**5)
    batch = source.batch(3, torch.Generator().manual_seed(0))
    assert batch.shape == (3, 3, 32, 32)
    assert (batch == -1).all()
    status = (tmp_path / "patches").stat()
    assert status.st_size == 10**5 * 3 * 32 * 32
    assert status.st_blocks * 512 < status.st_size / 100


def test_times_in_turn_and_leaves_the_first_round_out() -> None:
    order: list[str] = []
    runs = [lambda: order.append("a"), lambda: order.append("b"), lambda: order.append("c")]
    times = side_by_side(runs, 3)
    assert "".join(order) == "abccbaabccba"
    assert times.shape == (3, 3)
    assert (times > 0).all()


def test_ratio_is_the_median_with_an_interval_around_it() -> None:
    ratio = Ratio.of(np.array([1.0, 2.0, 9.0, 2.0, 2.5]))
    assert ratio.ratio == 2.0
    assert 1.0 <= ratio.low <= 2.0 <= ratio.high <= 9.0


def test_ratio_has_the_interval_of_all_benchmarks() -> None:
    values = np.random.default_rng(1).lognormal(size=7)
    ratio = Ratio.of(values)
    assert [ratio.ratio, ratio.low, ratio.high] == interval(
        values[None], lambda x: np.quantile(x, 0.5, axis=-1)
    )


def test_the_plain_loop_trains_both_networks() -> None:
    source = MixtureSampler.grid()
    plain = PlainLoop(*build_networks("mlp", source.shape, seed=0), source, 8, averaged=True)
    before = [p.clone() for p in (*plain.g.parameters(), *plain.d.parameters())]
    plain.train(2)
    assert len(plain.losses) == 2
    after = [*plain.g.parameters(), *plain.d.parameters()]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
