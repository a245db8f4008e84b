from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import warnings

import pytest
import torch
import yaml

from agents import cli
from agents.cli import COMMANDS, Command
from agents.config import DoctorConfig, TrainConfig
from agents.faults import message_for_user


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("warning: ")]


@pytest.fixture
def refused(gan_gym_command, patch_folder, tmp_path, monkeypatch, capfd):
    """Run a command that must end in one line of error, and leave nothing behind."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        words = [str(a).replace("GOOD", str(patch_folder)) for a in arguments]
        before = sorted(tmp_path.rglob("*"))
        assert gan_gym_command(*words) == 2
        out, err = capfd.readouterr()
        (line,) = lines(err)
        assert line.startswith("error: ")
        assert "Traceback" not in out
        assert sorted(tmp_path.rglob("*")) == before
        return line

    return run


TRAIN = ("train", "--out", "out", "--data")


def test_files_of_options_that_are_none(refused, tmp_path) -> None:
    (tmp_path / "binary.yaml").write_bytes(bytes(range(128, 256)))
    assert "'binary.yaml' is no readable YAML" in refused("train", "--config=binary.yaml")
    (tmp_path / "utf16.yaml").write_bytes("seed: 1\n".encode("utf-16"))
    assert "'utf16.yaml' is no readable YAML (it is not in UTF-8)" in refused(
        "train", "--config", "utf16.yaml"
    )
    for line in ("seed:", "device: null", "evaluate: ~"):
        (tmp_path / "null.yaml").write_text(line)
        option = line.partition(":")[0]
        assert f"{option} has no value; give one" in refused("train", "--config", "null.yaml")
    assert "'nope.yaml' does not exist" in refused("train", "--config", "nope.yaml")
    assert "is no file" in refused("train", "--config", ".")


def test_an_unusable_image_among_good_ones_is_listed(
    refused, tmp_path, patch_folder, gan_gym_command, capfd
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for i, file in enumerate(sorted(patch_folder.rglob("*.png"))):
        (data / f"{i}.png").write_bytes(file.read_bytes())
    (data / "odd.png").write_text("no image")
    dry = (*TRAIN, "data", "--controller", "constant", "--batch_size", "8", "--image_size", "32", "--dry_run")
    assert gan_gym_command(*dry) == 0
    warned = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert any("1 unusable images are left out: odd.png" in line for line in warned)
    assert "odd.png cannot be used" in refused(*dry, "--on_bad_image", "fail")


def test_help_needs_no_torch_and_names_every_command() -> None:
    code = (
        "import sys; from agents.cli import main, COMMANDS\n"
        "assert main(['--help']) == 0 and main(['trian']) == 2\n"
        "assert all(main([name, '--help']) == 0 for name in COMMANDS)\n"
        "assert main(['train', '--n_images', 'x']) == 2 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_the_printed_configuration_is_one_that_can_be_read(gan_gym_command, tmp_path, capsys) -> None:
    flags = ["--data", "d", "--image_size", "16x24", "--knobs", "g_lr,d_lr", "--dry_run"]
    assert gan_gym_command("train", *flags, "--print_config") == 0
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    assert gan_gym_command("train", "--config", tmp_path / "c.yaml", "--print_config") == 0
    again = yaml.safe_load(capsys.readouterr().out)
    assert again == yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert TrainConfig(**again) == TrainConfig(
        data="d", image_size="16x24", knobs=["g_lr", "d_lr"], dry_run=True
    )


def with_function(monkeypatch, function) -> None:
    monkeypatch.setattr(cli, "_function_of_test", function, raising=False)
    monkeypatch.setitem(COMMANDS, "doctor", Command(DoctorConfig, "agents.cli:_function_of_test"))


FAULTS = [
    lambda _: {}["missing"],
    lambda _: int("no number"),
    lambda _: json.loads("{"),
    lambda _: 1 / 0,
    lambda _: list(zip([1], [], strict=True)),
    lambda _: None.missing,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_our_own_faults_are_raised(monkeypatch, fault) -> None:
    with_function(monkeypatch, fault)
    with pytest.raises((LookupError, ValueError, ArithmeticError, AttributeError)):
        cli.main(["doctor"])


def test_a_fault_ends_in_a_traceback_and_1() -> None:
    code = (
        "import sys; from agents import cli; from agents.config import DoctorConfig\n"
        "cli.boom = lambda _: int('x')\n"
        "cli.COMMANDS['doctor'] = cli.Command(DoctorConfig, 'agents.cli:boom')\n"
        "sys.exit(cli.main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_what_is_the_users_and_what_is_ours() -> None:
    assert message_for_user(PermissionError(errno.EACCES, "Permission denied", "/x")).startswith(
        "Permission denied"
    )
    assert "free some space" in message_for_user(OSError(errno.ENOSPC, "No space left on device"))
    assert message_for_user(OSError(errno.EINVAL, "Invalid argument")) is None
    assert "pip install" in message_for_user(ImportError("No module named 'x'"))
    with pytest.raises(RuntimeError) as impossible:
        torch.empty(2**62, dtype=torch.uint8)
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), impossible.value):
        assert "lower --batch_size" in message_for_user(error)
    assert message_for_user(ValueError("never raised")) is None


def test_warnings_of_any_origin_are_one_line_each(monkeypatch, capsys) -> None:
    def warn(_: DoctorConfig) -> int:
        warnings.simplefilter("default")
        warnings.warn("two\n  lines", UserWarning, stacklevel=1)
        logging.getLogger("a.library").error("a\nmessage\twith\x1b[31m colours")
        return 0

    with_function(monkeypatch, warn)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: two lines",
        "warning: a message with\\x1b[31m colours",
    ]
    assert not any(isinstance(handler, cli._Handler) for handler in logging.getLogger().handlers)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_ends_any_command_with_85(monkeypatch, capsys, name) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with_function(monkeypatch, lambda _: os.kill(os.getpid(), number))
    assert cli.main(["doctor"]) == 85
    assert signal.getsignal(number) == before
    assert "stopped" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_crash() -> None:
    command = f"{sys.executable} -m agents.cli --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
