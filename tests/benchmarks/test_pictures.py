"""Names that a user gave to folders are drawn as they are: between dollars matplotlib reads formulas."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks import comparison_plot, payoff, similarity_pictures
from benchmarks.comparison_summary import summarise
from benchmarks.disturbances import DISTURBANCES
from tests.benchmarks.test_comparison_summary import row

NAME = "$x_$"
"""A formula that matplotlib refuses."""


def drawn(path: Path) -> bool:
    with Image.open(path) as picture:
        return len(set(picture.convert("L").tobytes())) > 2


def test_names_of_agents(tmp_path: Path) -> None:
    rows = [row(agent, seed, 0.1 * seed) for agent in (NAME, "b") for seed in range(4)]
    comparison_plot.plot(rows, summarise(rows), [NAME], tmp_path / "plot.png")
    assert drawn(tmp_path / "plot.png")


def test_names_of_data_sets(tmp_path: Path) -> None:
    curves = {name: [0.5] * len(disturbance.levels) for name, disturbance in DISTURBANCES.items()}
    rows = [{"set": NAME, "model": "pixels", "curves": curves}]
    similarity_pictures.plot(rows, {NAME: {"pixels": {"auc": [0.8, 0.7, 0.9]}}}, tmp_path / "plot.png")
    assert drawn(tmp_path / "plot.png")


def test_names_of_controllers(tmp_path: Path) -> None:
    course = [[0.0, 0.1], [1000.0, 0.5]]
    payoff.draw({"tuned_constant": course}, {NAME: course}, "GridGAN-v0", tmp_path / "plot.png")
    assert drawn(tmp_path / "plot.png")
