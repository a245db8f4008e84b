from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tqdm import tqdm

import agents.generating
from agents.generator_file import generate, load_generator, save_generator
from gan_gym.gan import build_networks


def test_all_are_written_where_progress_bars_are_off(
    gan_gym_command, finished_run, tmp_path, monkeypatch
) -> None:
    class Silent(tqdm):
        """As `TQDM_DISABLE=1` makes it, which is read where tqdm is imported."""

        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

    monkeypatch.setattr(agents.generating, "tqdm", Silent)
    assert gan_gym_command("generate", "--run", finished_run, "--n", 5, "--out", tmp_path / "out") == 0
    assert [file.name for file in sorted((tmp_path / "out" / "patches").iterdir())] == [
        f"{i}.png" for i in range(5)
    ]


def pictures(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted((folder / "patches").iterdir())]


def test_gives_so_many_patches_and_equal_ones_for_equal_seeds(
    gan_gym_command, finished_run, tmp_path, capsys
) -> None:
    for name, n, seed in (("a", 11, 0), ("b", 11, 0), ("c", 11, 1), ("d", 5, 0)):
        out = tmp_path / "new" / name
        assert gan_gym_command("generate", "--run", finished_run, "--n", n, "--seed", seed, "--out", out) == 0
    assert "11 patches in" in capsys.readouterr().out
    a, b, c, d = (pictures(tmp_path / "new" / name) for name in "abcd")
    assert len(a) == 11
    assert a == b
    assert a != c
    assert a[:5] == d
    assert sorted(p.name for p in (tmp_path / "new" / "a" / "patches").iterdir())[-1] == "10.png"
    with Image.open(tmp_path / "new" / "a" / "patches" / "00.png") as image:
        assert (image.mode, image.size) == ("RGB", (16, 16))
    assert (tmp_path / "new" / "a" / "grid.png").is_file()
    with Image.open(tmp_path / "new" / "a" / "walk.gif") as walk:
        assert walk.n_frames > 20
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a", "b", "c", "d"]


def test_patches_are_those_of_the_generator(gan_gym_command, finished_run, tmp_path) -> None:
    assert gan_gym_command("generate", "--run", finished_run, "--n", 3, "--out", tmp_path / "g") == 0
    cpu = torch.device("cpu")
    expected = generate(load_generator(str(finished_run), cpu), 3, 0, cpu)
    for i in range(3):
        with Image.open(tmp_path / "g" / "patches" / f"{i}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), expected[i].permute(1, 2, 0).numpy())


def test_nothing_is_left_where_writing_fails(gan_gym_command, finished_run, tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agents.generating, "save_grid", fail)
    assert gan_gym_command("generate", "--run", finished_run, "--n", 3, "--out", tmp_path / "g") == 2
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_is_to_be_continued(gan_gym_command, finished_run, tmp_path, capsys) -> None:
    shutil.copy(finished_run / "config.yaml", tmp_path)
    assert gan_gym_command("generate", "--run", tmp_path, "--out", tmp_path / "g") == 2
    assert "continue it with gan-gym train --resume" in capsys.readouterr().err


def test_a_generator_that_is_not_finite_is_never_written(tmp_path) -> None:
    module, _ = build_networks("light", (3, 16, 16), 0)
    next(module.parameters()).data.fill_(float("nan"))
    with pytest.raises(AssertionError):
        save_generator(module, tmp_path, "light", (3, 16, 16), 0)
    assert list(tmp_path.iterdir()) == []
