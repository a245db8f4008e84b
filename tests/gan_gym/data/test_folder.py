from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_gym.data.decoding import resize
from gan_gym.data.groups import GROUP_PATTERNS, group_ids, group_of
from gan_gym.data.loading import DataError, inspect_data, load_patches
from gan_gym.data.report import Loaded

Maker = Callable[..., list[Path]]


def load(source: Path, size: int = 16, **settings: object) -> Loaded:
    return load_patches(source, size, **{"min_patches": 1, **settings})  # type: ignore[arg-type]


def failure(source: Path | str, **settings: object) -> str:
    with pytest.raises(DataError) as error:
        load(source, **settings)  # type: ignore[arg-type]
    message = str(error.value)
    assert message.isprintable()
    assert str(source) in message
    return message


def test_images_come_sorted_resized_and_unlabelled(tmp_path: Path, make_patches: Maker) -> None:
    paths = make_patches(n=5)
    loaded = load(tmp_path)
    expected = np.stack([resize(Image.open(path), (16, 16)) for path in paths])
    assert loaded.patches.images.dtype == torch.uint8
    np.testing.assert_array_equal(loaded.patches.images.numpy(), expected)
    assert loaded.patches.labels.tolist() == [0] * 5
    assert loaded.patches.groups.tolist() == [0, 1, 2, 3, 4]
    assert loaded.patches.regions is None
    report = loaded.report
    assert (report.kind, report.n_images, report.n_used, report.n_patches) == ("patches", 5, 5, 5)
    assert report.source == str(tmp_path)
    assert report.classes == {"unlabelled": 5}
    assert report.sizes == {"24x24": 5}
    assert not report.unusable
    assert not report.warnings


def test_the_order_of_the_directory_does_not_matter(
    tmp_path: Path, make_patches: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("b/deep", "b", "a", "c c"):
        make_patches(folder, n=3)
    first = load(tmp_path, max_patches=7)
    listdir = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda path: sorted(listdir(path), key=lambda name: name[::-1], reverse=True)
    )
    second = load(tmp_path, max_patches=7)
    assert torch.equal(first.patches.images, second.patches.images)
    assert torch.equal(first.patches.labels, second.patches.labels)
    assert first.report == second.report


def test_nested_folders_are_classes(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("tumor/slide/deeper", n=2)
    make_patches("normal", n=3)
    make_patches(".hidden", n=1)
    make_patches("__MACOSX", n=1)
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / "normal/._a.png").write_text("ignored")
    loaded = load(tmp_path)
    assert loaded.patches.classes == ("normal", "tumor")
    assert loaded.patches.labels.tolist() == [0, 0, 0, 1, 1]
    assert loaded.report.classes == {"normal": 3, "tumor": 2}
    assert loaded.report.n_images == 5


def test_images_beside_class_folders_leave_all_unlabelled(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("tumor", n=2)
    make_patches(n=1)
    loaded = load(tmp_path)
    assert loaded.patches.classes == ("unlabelled",)
    assert "no classes are read: 2 images" in loaded.report.warnings[0]


def test_a_class_without_usable_images_is_reported(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("tumor", n=4)
    make_patches("normal", n=2, mode="L")
    loaded = load(tmp_path)
    assert loaded.patches.classes == ("tumor",)
    assert loaded.report.warnings == ("no image of class normal is used",)


@pytest.mark.parametrize("suffix", ["PNG", "jpg", "JPEG", "tif", "TIFF"])
def test_every_suffix_in_any_case(tmp_path: Path, make_patches: Maker, suffix: str) -> None:
    make_patches(n=2, suffix=suffix)
    assert len(load(tmp_path).patches) == 2


def test_links_are_followed_and_loops_end(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("outside/a", n=2)
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "outside/a")
    (root / "loop").symlink_to(root)
    (root / "nowhere.png").symlink_to(tmp_path / "gone.png")
    loaded = load(root)
    assert len(loaded.patches) == 2
    assert [entry.path for entry in loaded.report.unusable] == ["nowhere.png"]


def bad_images(folder: Path, make_patches: Maker) -> dict[str, str]:
    """Write one unusable image of each kind; return path and reason."""
    folder.mkdir(exist_ok=True)
    good = make_patches(n=1, size=(24, 24))[0]
    (folder / "text.png").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good.read_bytes()[:300])
    for mode in ("L", "RGBA", "CMYK"):
        Image.open(good).convert(mode).save(folder / f"{mode}.tif")
    Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24)).save(folder / "deep.png")
    Image.open(good).resize((48, 48)).save(folder / "odd.png")
    good.unlink()
    return {
        "CMYK.tif": "CMYK",
        "L.tif": "greyscale",
        "RGBA.tif": "alpha channel",
        "cut.png": "truncated or damaged",
        "deep.png": "16-bit",
        "empty.png": "empty file",
        "odd.png": "other size: 48x48 where most are 24x24",
        "text.png": "no PNG, JPEG or TIFF image inside",
    }


def test_unusable_images_are_listed_and_left_out(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("data", n=9)
    clean = load(tmp_path / "data")
    expected = bad_images(tmp_path / "data", make_patches)
    loaded = load(tmp_path / "data")
    assert dict(loaded.report.unusable) == expected
    assert (loaded.report.n_images, loaded.report.n_used) == (17, 9)
    assert torch.equal(loaded.patches.images, clean.patches.images)
    assert inspect_data(tmp_path / "data").unusable == loaded.report.unusable


def test_conversion_uses_all_that_can_be_read(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("data", n=9)
    bad_images(tmp_path / "data", make_patches)
    loaded = load(tmp_path / "data", on_bad_image="convert")
    assert [entry.path for entry in loaded.report.unusable] == ["cut.png", "empty.png", "text.png"]
    assert loaded.report.sizes == {"24x24": 13, "48x48": 1}
    assert len(loaded.patches) == 14


def test_failing_names_the_first(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("data", n=9)
    expected = bad_images(tmp_path / "data", make_patches)
    for name, reason in expected.items():
        for other in expected:
            if other != name:
                (tmp_path / "data" / other).rename(tmp_path / other)
        message = failure(tmp_path / "data", on_bad_image="fail")
        assert f"{name} cannot be used: {reason}" in message
        assert "skip" in message
        for other in expected:
            if other != name:
                (tmp_path / other).rename(tmp_path / "data" / other)


def test_too_few_usable_images(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("few", n=3)
    assert "holds only 3 patches, and 32 are needed" in failure(tmp_path / "few", min_patches=32)
    make_patches("grey", n=5, mode="L")
    make_patches("grey", n=1)
    message = failure(tmp_path / "grey", min_patches=2)
    assert "only 1 of 6 images can be used" in message
    assert "greyscale (5 of them" in message
    assert "--on_bad_image convert" in message
    assert len(load(tmp_path / "grey", on_bad_image="convert").patches) == 6
    (tmp_path / "text").mkdir()
    for i in range(3):
        (tmp_path / f"text/{i}.png").write_text(f"not an image {i}")
    message = failure(tmp_path / "text")
    assert "only 0 of 3" in message
    assert "convert" not in message
    assert inspect_data(tmp_path / "text").n_used == 0


def test_mixed_sizes_without_a_majority(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=4, size=(24, 24))
    make_patches(n=4, size=(32, 32))
    message = failure(tmp_path)
    assert "mixed sizes: none holds more than half, 24x24 (4), 32x32 (4)" in message
    assert "--on_bad_image convert" in message
    loaded = load(tmp_path, on_bad_image="convert")
    assert loaded.report.sizes == {"24x24": 4, "32x32": 4}
    make_patches("more", n=1, size=(32, 32))
    assert load(tmp_path).report.sizes == {"32x32": 5}


def test_truncated_files_have_no_vote_on_the_size(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=3, size=(24, 24))
    for path in make_patches(n=8, size=(64, 64)):
        path.write_bytes(path.read_bytes()[:600])
    assert load(tmp_path).report.sizes == {"24x24": 3}


def test_exact_copies_are_kept_once(tmp_path: Path, make_patches: Maker) -> None:
    paths = make_patches("a", n=3)
    (tmp_path / "b").mkdir()
    shutil.copy(paths[1], tmp_path / "b" / "copy.png")
    make_patches("b", n=1)
    loaded = load(tmp_path)
    assert len(loaded.patches) == 4
    assert loaded.report.warnings == ("exact copies of other images are left out: 1, such as b/copy.png",)


def test_exact_copies_are_kept_where_they_count(tmp_path: Path, make_patches: Maker) -> None:
    """The copies of a generator that collapsed say so."""
    paths = make_patches("a", n=4)
    for i in range(5):
        shutil.copy(paths[1], tmp_path / "a" / f"copy{i}.png")
    loaded = load(tmp_path, keep_copies=True)
    n_equal = (loaded.patches.images == loaded.patches.images[1]).flatten(1).all(1).sum()
    assert (len(loaded.patches), int(n_equal)) == (9, 6)
    assert loaded.report.warnings == ("exact copies of other images are kept: 5, such as a/copy0.png",)
    assert inspect_data(tmp_path, keep_copies=True).sizes == {"24x24": 9}
    assert inspect_data(tmp_path).sizes == {"24x24": 4}


def test_at_most_max_patches_by_seed(tmp_path: Path, make_patches: Maker) -> None:
    make_patches(n=20)
    every = load(tmp_path).patches.images
    drawn = [load(tmp_path, max_patches=8, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0].patches.images, drawn[1].patches.images)
    assert not torch.equal(drawn[0].patches.images, drawn[2].patches.images)
    assert "8 of 20 images" in drawn[0].report.warnings[0]
    for image in drawn[0].patches.images:
        assert (every == image).flatten(1).all(1).any()


def test_strange_names_stay_on_one_line(tmp_path: Path, make_patches: Maker) -> None:
    make_patches("data", n=3)
    (tmp_path / "data" / "new\nline.png").write_text("no image")
    with open(os.fsencode(tmp_path / "data") + b"/\xff.png", "wb"):
        pass
    report = load(tmp_path / "data").report
    assert [entry.path for entry in report.unusable] == ["\\udcff.png", "new\\nline.png"]


def test_groups_come_from_known_names_only() -> None:
    assert group_of("idc/8955_idx5_x1101_y1251_class1.png") == "8955"
    assert group_of("Case-3-A18-9485-39729_118.jpg") == "case-3"
    assert group_of("P9-B12-15791-34183_103.jpg") == "p9"
    assert group_of("a/TCGA-A2-A0CM-01Z-00-DX1_4_5.png") == "tcga-a2-a0cm"
    assert group_of("patient_012_node_3.png") == "patient_012"
    assert group_of("Slide7_x1.png") == "slide7"
    for name in ("pcam_0919.png", "8955.png", "a_patient_1.png", "caseless_1.png"):
        assert group_of(name) == name
    assert len(GROUP_PATTERNS) == 4
    names = ["x/1_idx5_x1_y1_class0.png", "y/1_idx5_x1_y2_class1.png", "x/a.png", "y/a.png"]
    assert group_ids(names).tolist() == [0, 0, 1, 2]


def test_suspicious_groups_are_reported(tmp_path: Path, make_patches: Maker) -> None:
    for patient in ("101", "102"):
        for i, path in enumerate(make_patches(patient, n=2)):
            path.rename(path.with_name(f"{patient}_idx5_x{i}_y1_class0.png"))
    assert "if they are patients" in load(tmp_path).report.warnings[0]
    assert "none can be held out" in load(tmp_path / "101").report.warnings[0]


def test_paths_that_cannot_be_used(
    tmp_path: Path, make_patches: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_patches("pcam_1000", n=1)
    message = failure(tmp_path / "pcam_100")
    assert message.endswith(f"did you mean {tmp_path / 'pcam_1000'}?")
    assert "check the path" in failure(tmp_path / "gone" / "deeper")
    with pytest.raises(DataError, match="data path '' does not exist"):
        load_patches("", 16)
    (tmp_path / "afile").write_text("x")
    assert "is a file, but no .npz" in failure(tmp_path / "afile")
    (tmp_path / "empty").mkdir()
    assert "(found: nothing)" in failure(tmp_path / "empty")
    (tmp_path / "empty/slide.CZI").write_text("x")
    assert "(found: 1 .czi)" in failure(tmp_path / "empty")
    with pytest.raises(DataError, match=r"found: 1 \.czi"):
        inspect_data(tmp_path / "empty")

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    assert "cannot read the folder" in failure(tmp_path / "pcam_1000")
    monkeypatch.setattr(os, "stat", refuse)
    assert "no permission" in failure(tmp_path / "pcam_1000")


def test_an_image_without_read_permission_is_left_out(
    tmp_path: Path, make_patches: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = make_patches(n=3)[1]
    opened = Path.open

    def guarded(path: Path, *args: str) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args)

    monkeypatch.setattr(Path, "open", guarded)
    assert list(load(tmp_path).report.unusable) == [(locked.name, "no read permission")]


def test_more_patches_than_memory_are_refused(
    tmp_path: Path, make_patches: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_patches(n=3)
    monkeypatch.setattr("gan_gym.data.memory.MEMORY_LIMIT", 2 * 3 * 16 * 16)
    with pytest.raises(DataError, match="3 patches of 16x16 take"):
        load(tmp_path)


def test_the_overview_beside_generated_patches_is_no_patch(tmp_path: Path) -> None:
    names = ("a/patches/0.png", "a/patches/1.png", "a/grid.png", "b/0.png", "b/grid.png")
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (40 * i, 0, 0)).save(tmp_path / name)
    loaded = load(tmp_path)
    assert loaded.report.classes == {"a": 2, "b": 2}
    assert loaded.report.unusable == ()
