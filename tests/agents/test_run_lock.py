"""A folder has one owner, who is named, and is free again however that one ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from agents.run_lock import locked

HOLD = """
import sys
from pathlib import Path
from agents.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_process_is_told_who_holds_the_folder(tmp_path, holder) -> None:
    with pytest.raises(ValueError, match=f"in use by process {holder.pid} on "), locked(tmp_path):
        pytest.fail("held by two")


def test_a_killed_process_holds_nothing(tmp_path, holder) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path):
        pass


def test_the_folder_is_free_afterwards_even_if_the_work_failed(tmp_path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), locked(tmp_path):
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_owner_that_cannot_be_read_is_still_an_owner(tmp_path, holder) -> None:
    (tmp_path / ".owner.json").write_text("[]")
    with pytest.raises(ValueError, match="in use by another process"), locked(tmp_path):
        pytest.fail("held by two")


@pytest.mark.parametrize("error", [NotImplementedError("no locks"), OSError(37, "No locks available")])
def test_a_file_system_without_locks_only_warns(tmp_path, monkeypatch, caplog, error) -> None:
    def acquire(*_, **__) -> None:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with locked(tmp_path):
        pass
    assert "let no other process write to it" in caplog.text


def test_a_run_in_use_is_not_resumed(train_quickly, tmp_path, capsys, monkeypatch) -> None:
    """Both would write the same files; the second leaves all as it is."""
    run = tmp_path / "run"
    monkeypatch.setattr("agents.pipeline.execute", lambda plan: 85)  # stopped before its first env step
    assert train_quickly(run) == 85
    with locked(run):
        before = {path.name for path in run.iterdir()}
        assert train_quickly(run, "--resume") == 2
        assert {path.name for path in run.iterdir()} == before
    assert "is in use by process" in capsys.readouterr().err
