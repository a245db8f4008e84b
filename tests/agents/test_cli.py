from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

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
OPTIONS = [
    (("trian",), "did you mean 'train'"),
    (("train", "--out", "out"), "needs --data"),
    (("train",), "needs --data and --out"),
    (("train", "--data"), "expected one argument"),
    (("train", "--dat", "GOOD", "--out", "out"), "did you mean '--data'"),
    ((*TRAIN, "GOOD", "--n_image", "5"), "did you mean '--n_images'"),
    ((*TRAIN, "GOOD", "extra"), "what is 'extra'"),
    ((*TRAIN, "GOOD", "--n_images", "many"), "--n_images is 'many'; give a whole number"),
    ((*TRAIN, "GOOD", "--n_images", "2.5"), "give a whole number"),
    ((*TRAIN, "GOOD", "--n_images", "-5"), "n_images is -5"),
    ((*TRAIN, "GOOD", "--seed", "-1"), "seed is -1"),
    ((*TRAIN, "GOOD", "--batch_size", "0"), "batch_size is 0"),
    ((*TRAIN, "GOOD", "--held_out", "1"), "give a share between 0 and 1"),
    ((*TRAIN, "GOOD", "--held_out", ".nan"), "give a share between 0 and 1"),
    ((*TRAIN, "GOOD", "--on_bad_image", "skp"), "give one of skip, fail, convert"),
    ((*TRAIN, "GOOD", "--resume", "maybe"), "give true or false"),
    ((*TRAIN, "GOOD", "--image_size", "33", "--controller", "constant"), "nearest to 33 is 32"),
    ((*TRAIN, "GOOD", "--image_size", "big", "--controller", "constant"), "is no size"),
    ((*TRAIN, "GOOD", "--device", "cuda:99"), "CUDA devices found"),
    ((*TRAIN, "GOOD", "--device", "gpu"), "device 'gpu' is unknown"),
    ((*TRAIN, "GOOD", "--loss", "hinje", "--controller", "constant"), "did you mean 'hinge'"),
    ((*TRAIN, "GOOD", "--networks", "lite", "--controller", "constant"), "did you mean 'light'"),
    ((*TRAIN, "GOOD", "--networks", "mlp", "--controller", "constant"), "make points"),
    ((*TRAIN, "GOOD", "--controller", "cosin"), "did you mean 'cosine'"),
    ((*TRAIN, "GOOD", "--learn", "ppoo"), "did you mean 'ppo'"),
    ((*TRAIN, "GOOD", "--learn", "ars"), "unknown online algorithm"),
    ((*TRAIN, "GOOD", "--learn", "ppo", "--controller", "cosine"), "cannot start from controller 'cosine'"),
    ((*TRAIN, "GOOD", "--controller", "constant", "--knobs", "g_rl"), "did you mean 'g_lr'"),
    ((*TRAIN, "GOOD", "--controller", "constant", "--knobs", "g_lr,g_lr"), "name one twice"),
    ((*TRAIN, "GOOD", "--controller", "constant", "--knobs", "[]"), "knobs is empty"),
    ((*TRAIN, "GOOD", "--knobs", "{a: 1}"), "give names separated by commas"),
    ((*TRAIN, "GOOD", "--controller", "constant", "--reward_model", "refin"), "did you mean 'refine'"),
    ((*TRAIN, "GOOD", "--controller", "constant", "--batch_size", "64"), "lower --batch_size"),
    (
        (*TRAIN, "GOOD", "--controller", "constant", "--batch_size", "8", "--held_out", "0.9"),
        "held_out 0.9 leaves",
    ),
    ((*TRAIN, "nowhere", "--controller", "constant"), "does not exist"),
    (("fit-snn", "--data", "nowhere", "--out", "out"), "does not exist"),
    (("fit-snn", "--data", "GOOD", "--out", "out"), "64 are needed"),
    (
        ("fit-snn", "--data", "GOOD", "--out", "out", "--batch_size", "2", "--held_out", "0.999"),
        "lower --held_out",
    ),
    (
        ("fit-snn", "--data", "GOOD", "--out", "out", "--start", "imagnet"),
        "give one of preset, imagenet, random, shipped",
    ),
    (("fit-controller", "--out", "out", "--env", "GridGan-v0"), "did you mean 'GridGAN-v0'"),
    (("fit-controller", "--out", "out", "--algo", "pp0"), "did you mean 'ppo'"),
    (("fit-controller", "--out", "out", "--knobs", "lr"), "unknown knob 'lr'"),
    (("fit-controller", "--out", "out", "--total_timesteps", "0"), "total_timesteps is 0"),
    (("fit-controller",), "needs --out"),
    (("generate", "--run", "nope", "--out", "g"), "does not exist"),
    (("generate", "--run", "GOOD", "--out", "g"), "holds no generator.json"),
    (("generate", "--run", "GOOD", "--out", "g", "--n", "0"), "n is 0"),
    (("evaluate",), "nothing to evaluate"),
    (("evaluate", "--real", "GOOD"), "nothing to evaluate"),
    (("evaluate", "--fake", "GOOD", "--run", "nope"), "nothing to evaluate"),
    (("evaluate", "--fake", "GOOD"), "needs --real"),
    (("evaluate", "--real", "GOOD", "--fake", "nope"), "does not exist"),
    (("evaluate", "--real", "nope", "--fake", "GOOD"), "does not exist"),
    (("evaluate", "--real", "GOOD", "--fake", "GOOD", "--json", "no/such/x.json"), "--json 'no/such/x.json'"),
    (("evaluate", "--real", "GOOD", "--fake", "GOOD", "--json", "."), "--json '.'"),
    (("evaluate", "--run", "nope", "--image_size", "32"), "--image_size goes with --fake"),
    (
        ("evaluate", "--real", "GOOD", "--fake", "GOOD", "--extractor", "tf_eficientnet_lite2"),
        "tf_efficientnet_lite2",
    ),
    (
        ("evaluate", "--real", "GOOD", "--fake", "GOOD", "--extractor", "tf_efficientnet_lite0"),
        "own backbone",
    ),
    (("report", "--run", "GOOD"), "is not a run"),
    (("report", "--run", "nope"), "does not exist"),
    (("report",), "needs --run"),
    (("check-data",), "required: data"),
    (("check-data", "nope"), "does not exist"),
    (("check-data", "GOOD", "--image_size", "7"), "nearest to 7 is 8"),
    (("demo", "--n_images", "0"), "n_images is 0"),
    (("doctor", "--cure"), "unknown option '--cure'"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), OPTIONS, ids=lambda x: x[-40:] if isinstance(x, str) else ""
)
def test_wrong_options_get_one_line_and_leave_nothing(refused, arguments, message) -> None:
    assert message in refused(*arguments)


YAMLS = {
    "unclosed": ("g_lr: [unclosed", "'c.yaml' is no readable YAML"),
    "unknown key": ("n_imagess: 3", "did you mean 'n_images'"),
    "list": ("- a\n- b", "holds no options"),
    "empty": ("", "holds no options"),
    "scalar": ("just text", "holds no options"),
    "wrong kind": ("n_images: abc", "--n_images is 'abc'; give a whole number"),
    "deep": ("[" * 5000, "'c.yaml' is no readable YAML"),
    "nested": ("data: {a: {b: c}}", "data is nested"),
    "bomb": ("seed: &a [1, 2]\nknobs: [*a, *a]", "is nested"),
    "code": ("data: !!python/object/apply:os.system ['true']", "is no readable YAML"),
    "control characters": ("data: \x00\x1b", "is no readable YAML"),
    "huge": ("# " + "x" * 1_000_001, "larger than"),
}


@pytest.mark.parametrize("name", YAMLS)
def test_a_wrong_file_of_options_is_named(refused, tmp_path, name) -> None:
    text, message = YAMLS[name]
    (tmp_path / "c.yaml").write_text(text)
    assert message in refused("train", "--config", "c.yaml", "--data", "GOOD", "--out", "out")


def test_files_of_options_that_are_none(refused, tmp_path) -> None:
    (tmp_path / "binary.yaml").write_bytes(bytes(range(128, 256)))
    assert "'binary.yaml' is no readable YAML" in refused("train", "--config=binary.yaml")
    assert "'nope.yaml' does not exist" in refused("train", "--config", "nope.yaml")
    assert "is no file" in refused("train", "--config", ".")


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def many(folder: Path, mode: str, suffix: str = "png") -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    for i in range(12):
        Image.frombytes(mode, (16, 16), rng.bytes(16 * 16 * (channels or (1,))[0])).save(
            folder / f"{i}.{suffix}"
        )


def write_sixteen_bit(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        Image.fromarray(noise(16, 16, dtype=np.uint16) + np.uint16(i)).save(folder / f"{i}.png")


def write_mixed(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        Image.fromarray(noise(16 + i, 16, 3)).save(folder / f"{i}.png")


def write_text(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.png").write_text(f"no image {i}")


def write_truncated(folder: Path) -> None:
    many(folder, "RGB")
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:200])


def write_bomb(folder: Path) -> None:
    """A header that claims 30,000 x 30,000 pixels."""
    many(folder, "RGB")
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        data[16:24] = (30000).to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        file.write_bytes(data)


def write_npz(**arrays: np.ndarray):
    return lambda path: np.savez(path.with_suffix(".npz"), **arrays)


DATA = {
    "empty": (lambda folder: folder.mkdir(), "no PNG, JPEG or TIFF images"),
    "greyscale": (lambda folder: many(folder, "L"), "--on_bad_image convert"),
    "alpha": (lambda folder: many(folder, "RGBA"), "alpha channel"),
    "cmyk": (lambda folder: many(folder, "CMYK", "tif"), "CMYK"),
    "16 bit": (write_sixteen_bit, "16-bit"),
    "mixed sizes": (write_mixed, "mixed sizes"),
    "text": (write_text, "no PNG, JPEG or TIFF image inside"),
    "truncated": (write_truncated, "truncated or damaged"),
    "bomb": (write_bomb, "pixel limit"),
    "npz without keys": (write_npz(a=np.zeros(3)), "no array 'train_images'"),
    "npz with objects": (write_npz(train_images=np.array([object()])), "pickled objects"),
    "npz of floats": (write_npz(train_images=np.zeros((20, 16, 16, 3))), "uint8 of shape (N, H, W, 3)"),
    "npz greyscale": (write_npz(train_images=noise(20, 16, 16)), "greyscale"),
    "npz with few labels": (
        write_npz(train_images=noise(20, 16, 16, 3), train_labels=np.zeros(3, int)),
        "one integer for each of the 20 images",
    ),
    "npz with one image": (write_npz(train_images=noise(1, 16, 16, 3)), "holds only 1 patches"),
    "npz that is text": (lambda path: path.with_suffix(".npz").write_text("text"), "damaged or no npz"),
    "another file": (lambda path: path.write_text("text"), "is a file, but no .npz"),
}


@pytest.mark.parametrize("name", DATA)
def test_unusable_data_get_one_line_and_leave_nothing(refused, tmp_path, name) -> None:
    write, message = DATA[name]
    write(tmp_path / "data")
    source = "data" if (tmp_path / "data").exists() else "data.npz"
    line = refused(*TRAIN, source, "--controller", "constant", "--batch_size", "8", "--image_size", "16")
    assert message in line


@pytest.mark.parametrize(
    "name", ["líne\nbreak", "esc\x1b[31m", "emoji 🧫", "quote'\"", "-dash", "bad\udcffbytes"]
)
def test_odd_names_stay_on_one_line(refused, tmp_path, name) -> None:
    (tmp_path / name).mkdir()
    line = refused("train", "--out", "out", f"--data={name}", "--controller", "constant")
    assert line.isprintable()
    assert "no PNG, JPEG or TIFF images" in line


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


def output_cases(tmp_path: Path) -> dict[str, tuple[str, str]]:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("data: x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return {
        "a file": ("file", "is a file"),
        "not empty": ("full", "is not empty"),
        "the data's own parent": (".", "is not empty"),
        "a run": ("run", "continue it with --resume"),
        "below a file": ("file/below", "cannot be made"),
        "where nothing can be written": ("/proc/run", "cannot be made"),
        "a device": ("/dev/null", "is a file"),
        "too long": ("x" * 300, "File name too long"),
    }


@pytest.mark.parametrize("case", ["a file", "not empty", "the data's own parent", "a run", "below a file",
                                  "where nothing can be written", "a device", "too long"])  # fmt: skip
def test_an_output_folder_that_cannot_be_made(refused, tmp_path, case) -> None:
    out, message = output_cases(tmp_path)[case]
    assert message in refused("train", "--data", "GOOD", "--out", out, "--controller", "constant")


@pytest.mark.parametrize("command", ["generate", "fit-snn", "fit-controller"])
def test_other_commands_do_not_overwrite_either(refused, tmp_path, command, finished_run) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    given = {"generate": ("--run", finished_run), "fit-snn": ("--data", "GOOD"), "fit-controller": ()}[
        command
    ]
    assert "is not empty" in refused(command, *given, "--out", "full")


def hostile_controller(folder: Path, head: str, weights: bytes = b"\xff" * 64) -> None:
    folder.mkdir()
    (folder / "controller.json").write_text(head)
    (folder / "policy.safetensors").write_bytes(weights)


@pytest.mark.parametrize("head", ["{}", "[]", "{", "[" * 100_000, "null", '{"format": 1e999}', "\x00"])
def test_a_hostile_controller_is_refused(refused, tmp_path, head) -> None:
    hostile_controller(tmp_path / "evil", head)
    assert "evil': controller.json" in refused(*TRAIN, "GOOD", "--controller", "evil")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no run"), ("", "is damaged"), ("- a", "is damaged"), ("n_images: -3", "is damaged"),
     ("{", "is damaged"),
     ("no_such: 1", "is damaged"), ("n_images: abc", "is damaged"), ("[" * 5000, "is damaged")],
)  # fmt: skip
def test_resuming_what_is_no_run(refused, tmp_path, content, message) -> None:
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "config.yaml").write_text(content)
    assert message in refused("train", "--out", "run", "--resume")
    assert "holds no run" in refused("train", "--out", "nowhere", "--resume")


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
    assert message_for_user(OSError(errno.EIO, "Input/output error")) is None
    assert "pip install" in message_for_user(ImportError("No module named 'x'"))
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
