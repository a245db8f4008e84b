from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_gym.data.loading import inspect_data, load_patches

Maker = Callable[..., list[Path]]
REAL = os.environ.get("GAN_GYM_DATA")


def test_the_embedded_tissue_needs_no_path() -> None:
    loaded = load_patches(None, (32, 24), max_patches=40, seed=3)
    assert loaded.patches.images.shape == (40, 3, 32, 24)
    assert (loaded.report.kind, loaded.report.source, loaded.report.n_patches) == (
        "embedded",
        "embedded tissue",
        40,
    )
    assert sum(loaded.report.classes.values()) == 40
    assert list(loaded.report.classes) == list(loaded.patches.classes)


def test_the_size_is_read_in_every_form(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=2)
    for size in ("16x24", (16, 24)):
        assert load_patches(tmp_path, size, min_patches=1).patches.image_size == (16, 24)
    assert load_patches(str(tmp_path), "16", min_patches=1).patches.image_size == (16, 16)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown on_bad_image 'skp'; did you mean 'skip'"):
        load_patches(tmp_path, 16, on_bad_image="skp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image_size 33"):
        load_patches(tmp_path, 33)
    with pytest.raises(ValueError, match=r"min_patches \(0\)"):
        load_patches(tmp_path, 16, min_patches=0)
    with pytest.raises(ValueError, match=r"max_patches \(-1\)"):
        load_patches(tmp_path, 16, max_patches=-1)


def test_max_patches_lowers_what_is_needed(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=6)
    assert len(load_patches(tmp_path, 16, max_patches=4).patches) == 4


def test_global_random_state_is_untouched(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=6)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    load_patches(tmp_path, 16, max_patches=4)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_quick_loads_show_no_bar(
    tmp_path: Path, make_patches: Maker, capfd: pytest.CaptureFixture[str]
) -> None:
    make_patches(n=3)
    load_patches(tmp_path, 16, min_patches=1, progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    REAL is None, reason="set GAN_GYM_DATA to the folder with pcam_1000 and others to test on real H&E"
)
def test_real_patches_and_regions() -> None:
    real = Path(REAL or "")
    pcam = load_patches(real / "pcam_1000", 32)
    assert pcam.report.classes == {"normal": 483, "tumor": 510}
    assert (pcam.report.sizes, pcam.report.n_groups) == ({"96x96": 993}, 993)
    idc = load_patches(real / "idc_breast", 32, max_patches=400)
    assert idc.report.n_images == 5370
    assert 100 < idc.report.n_groups < 300
    bone = inspect_data(real / "osteosarcoma_regions", 128)
    assert (bone.kind, bone.n_groups) == ("regions", 4)
    assert 2900 < bone.n_patches < 3100
