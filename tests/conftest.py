from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch

import gan_gym.envs.histogan
from agents import cli
from benchmarks.faults import patches

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache as it is; fonts stay where they are, for to list them takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:
            patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def patch_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 patches of two classes, 32 x 32: smooth colours under noise."""
    return patches(tmp_path_factory.mktemp("data") / "patches")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, patch_folder: Path) -> Path:
    """A whole run under the cosine baseline; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gan_gym.envs.histogan, "N_SCORED", 16)
        flags = (
            "--controller cosine --reward_model shipped --n_images 160 --batch_size 8 --inner_steps 2 "
            "--image_size 16 --evaluate false"
        )
        arguments = ["--data", str(patch_folder), "--out", str(out), *flags.split()]
        assert cli.main(["train", *arguments]) == 0
    return out
