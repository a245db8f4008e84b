from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.config import TrainConfig
from agents.run_folder import MetricsFile, check_new, create_run, describe_machine, new_folder, read_config


class Killed(BaseException):
    pass


def test_a_new_folder_appears_whole(tmp_path) -> None:
    out = tmp_path / "a" / "b" / "run"
    with new_folder(out) as part:
        (part / "file").write_text("x")
        assert not out.exists()
    assert (out / "file").read_text() == "x"
    assert [path.name for path in out.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Killed])
def test_nothing_is_left_of_a_new_folder_that_failed(tmp_path, error) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "run") as part:
            (part / "file").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path) -> None:
    (tmp_path / ".run.part" / "sub").mkdir(parents=True)
    (tmp_path / ".run.part" / "stale").write_text("x")
    with new_folder(tmp_path / "run") as part:
        (part / "fresh").write_text("x")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["fresh"]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert check_new(str(tmp_path / "link"), "run") == tmp_path / "empty"
    with new_folder(check_new(str(tmp_path / "link"), "run")) as part:
        (part / "file").write_text("x")
    assert (tmp_path / "link" / "file").is_file()


def test_where_a_disk_is_mounted_no_folder_can_appear_by_rename() -> None:
    with pytest.raises(ValueError, match="'/proc' is where a disk is mounted; give a new folder in it"):
        check_new("/proc", "model")


def test_checking_leaves_nothing_behind_and_dry_checking_writes_nothing(tmp_path, monkeypatch) -> None:
    assert check_new(str(tmp_path / "no" / "such" / "run"), "run") == tmp_path / "no" / "such" / "run"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: pytest.fail("wrote"))
    check_new(str(tmp_path / "run"), "run", probe=False)


def test_no_write_permission_is_found_before_anything_is_done(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda *_: False)
        with pytest.raises(ValueError, match=r"cannot be made \(Permission denied in .*give another folder"):
            check_new(str(tmp_path / "run"), "run")
    with pytest.raises(ValueError, match="cannot be made"):
        check_new("/proc/run", "run")


def test_a_run_starts_with_its_configuration_command_and_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["gan-gym", "train", "--data", "a folder"])
    config = TrainConfig(data="/päth/with space", knobs=["g_lr"], image_size="16x24", held_out=0.25)
    create_run(tmp_path / "run", config)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["command.txt", "config.yaml", "env.json"]
    assert read_config(str(tmp_path / "run")) == config
    assert (tmp_path / "run" / "command.txt").read_text() == "gan-gym train --data 'a folder'\n"
    assert json.loads((tmp_path / "run" / "env.json").read_text()) == describe_machine()
    assert describe_machine()["packages"]["torch"]


def write(path: Path, *numbers: int) -> None:
    file = MetricsFile(path, 0)
    for number in numbers:
        file.append({"row": number})
    file.close()


def test_metrics_are_cut_back_to_a_checkpoint_and_go_on(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 1, 2, 3)
    with path.open("a") as file:
        file.write('{"row": 4, "half')
    again = MetricsFile(path, 2)
    assert again.n_rows == 2
    for number in (2, 3):
        again.append({"row": number})
    again.sync()
    again.close()
    assert [json.loads(line)["row"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]


def test_metrics_of_a_run_that_starts_again_are_emptied(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 1)
    MetricsFile(path, 0).close()
    assert path.read_bytes() == b""


def test_metrics_that_lost_rows_are_refused(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, 1)
    with pytest.raises(ValueError, match=r"holds less than the checkpoint's 3 rows"):
        MetricsFile(path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"holds less than the checkpoint's 2 rows"):
        MetricsFile(path, 2)


def test_metrics_hold_no_nan(tmp_path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl", 0)
    with pytest.raises(ValueError, match="JSON"):
        file.append({"loss": float("nan")})
    file.close()
