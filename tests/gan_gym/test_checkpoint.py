from __future__ import annotations

import json
import logging

import pytest
import torch

import gan_gym.checkpoint
from gan_gym.checkpoint import CheckpointError, load_best, load_checkpoint, replace_file, save_checkpoint


def save(folder, n, **kwargs):
    return save_checkpoint(folder, n, {"w": torch.full((3,), float(n))}, {"n": n}, **kwargs)


def newest(folder) -> int:
    tensors, values = load_checkpoint(folder)
    assert torch.equal(tensors["w"], torch.full((3,), float(values["n"])))
    return values["n"]


def test_comes_back_bit_for_bit(tmp_path) -> None:
    tensors = {
        "float": torch.randn(5, 3, generator=torch.Generator().manual_seed(0)),
        "view": torch.arange(6).reshape(2, 3).T,
        "tiny": torch.tensor(1e-42),
    }
    values = {"text": "é", "number": 0.1 + 0.2, "none": None, "nested": [{"a": [1, 2]}]}
    save_checkpoint(tmp_path, 7, tensors, values)
    found, read = load_checkpoint(tmp_path)
    assert read == values
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_holds_plain_files_with_their_hashes(tmp_path) -> None:
    path = save(tmp_path, 7)
    assert {file.name for file in path.iterdir()} == {"manifest.json", "state.safetensors", "state.json"}
    assert set(json.loads((path / "manifest.json").read_text())["sha256"]) == {
        "state.safetensors",
        "state.json",
    }
    assert (tmp_path / "LATEST").read_text() == path.name == "ckpt-000000007"


def test_there_is_none_before_the_first(tmp_path) -> None:
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "missing") is None


def test_keeps_the_newest_by_number_not_by_spelling(tmp_path) -> None:
    for n in (5, 999_999_999, 1_000_000_000, 20_000_000_000):
        save(tmp_path, n, keep=3)
    assert newest(tmp_path) == 20_000_000_000
    assert not (tmp_path / "ckpt-000000005").exists()
    assert len(list(tmp_path.glob("ckpt-*"))) == 3


def test_later_ones_of_a_run_that_went_back_are_dropped(tmp_path) -> None:
    for n in (10, 20, 30):
        save(tmp_path, n)
    save(tmp_path, 25)
    assert newest(tmp_path) == 25
    assert sorted(p.name for p in tmp_path.glob("ckpt-*")) == ["ckpt-000000020", "ckpt-000000025"]


def test_the_best_stays_however_old_it_is(tmp_path) -> None:
    for n in (10, 20, 30, 40, 50):
        save(tmp_path, n, best=n in (10, 20))
    assert sorted(p.name[-2:] for p in tmp_path.glob("ckpt-*")) == ["20", "40", "50"]
    assert newest(tmp_path) == 50
    assert load_best(tmp_path)[1] == {"n": 20}


def test_a_best_one_of_a_future_that_was_given_up_is_none(tmp_path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 30, best=True)
    save(tmp_path, 20)
    with pytest.raises(CheckpointError, match="names no best checkpoint"):
        load_best(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc", "", "ckpt-000000011", "\xff"])
def test_best_leads_nowhere_else(tmp_path, name) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 10, best=True)
    save(tmp_path, 10).rename(tmp_path / "outside")
    (folder / "BEST").write_bytes(name.encode("latin-1"))
    with pytest.raises(CheckpointError, match="names no best checkpoint"):
        load_best(folder)
    save(folder, 20)
    assert newest(folder) == 20


def damage_missing(path) -> None:
    (path / "manifest.json").unlink()


def damage_truncated(path) -> None:
    file = path / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damage_flipped(path) -> None:
    file = path / "state.json"
    file.write_bytes(file.read_bytes().replace(b"20", b"21"))


def damage_emptied(path) -> None:
    for file in path.iterdir():
        file.write_bytes(b"")


def damage_all_files(path) -> None:
    for file in path.iterdir():
        file.unlink()


def damage_schema(path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))


def damage_strange_manifest(path) -> None:
    (path / "manifest.json").write_text("[1, 2]")


DAMAGES = [
    damage_missing,
    damage_truncated,
    damage_flipped,
    damage_emptied,
    damage_all_files,
    damage_schema,
    damage_strange_manifest,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_reported_and_the_one_before_it_used(tmp_path, caplog, damage) -> None:
    save(tmp_path, 10)
    damage(save(tmp_path, 20))
    with caplog.at_level(logging.WARNING):
        assert newest(tmp_path) == 10
    assert "ckpt-000000020 is damaged" in caplog.text
    save(tmp_path, 20)
    assert newest(tmp_path) == 20


def test_a_damaged_best_one_is_no_best_one(tmp_path) -> None:
    damage_truncated(save(tmp_path, 10, best=True))
    with pytest.raises(CheckpointError, match=r"is damaged .*; use the last generator"):
        load_best(tmp_path)


def test_says_so_where_none_is_whole(tmp_path) -> None:
    damage_truncated(save(tmp_path, 10))
    damage_missing(save(tmp_path, 20))
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole"):
        load_checkpoint(tmp_path)


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("victim", "found"), [("write_synced", 10), ("replace_file", 20)])
def test_a_kill_at_any_write_leaves_a_whole_one(tmp_path, monkeypatch, victim, found) -> None:
    """A kill while files are written leaves the one before; one between rename and LATEST, the new one."""
    real, calls = getattr(gan_gym.checkpoint, victim), []

    def kill(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == (2 if victim == "write_synced" else 1):
            raise Killed
        real(*arguments)

    save(tmp_path, 10)
    with monkeypatch.context() as patch:
        patch.setattr(gan_gym.checkpoint, victim, kill)
        with pytest.raises(Killed):
            save(tmp_path, 20)
    assert newest(tmp_path) == found
    save(tmp_path, 20)
    assert newest(tmp_path) == 20
    assert not list(tmp_path.glob(".*"))


def test_foreign_files_beside_it_are_left_alone(tmp_path) -> None:
    (tmp_path / "ckpt-backup").mkdir()
    for n in (10, 20, 30):
        save(tmp_path, n)
    assert newest(tmp_path) == 30
    assert (tmp_path / "ckpt-backup").is_dir()


def test_nothing_that_is_not_finite_is_written_as_a_value(tmp_path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tmp_path / "c", 1, {}, {"loss": float("nan")})
    assert not (tmp_path / "c").exists()


def test_a_folder_that_cannot_be_written_to_is_explained(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"cannot write a checkpoint to .*file.*--resume"):
        save(tmp_path / "file", 1)


def test_a_run_that_has_vanished_is_not_made_again(tmp_path) -> None:
    with pytest.raises(CheckpointError, match=r"No such file or directory.* bring it back, then --resume"):
        save(tmp_path / "gone" / "checkpoints", 1)
    assert not (tmp_path / "gone").exists()


def test_a_replaced_file_is_old_or_new(tmp_path, monkeypatch) -> None:
    file = tmp_path / "f"
    replace_file(file, b"old")
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            replace_file(file, b"new")
    assert file.read_bytes() == b"old"
    replace_file(file, b"new")
    assert file.read_bytes() == b"new"
