"""Input that a person could get wrong, for every command, and what must come back: one line, nothing else.

Each case is a command in a folder of its own, beside good patches (`GOOD`) and a finished run (`RUN`). It
must end with 2, with one line on stderr that begins with `error: ` and holds the remedy, and leave nothing
behind.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save

from agents import cli
from benchmarks.wrong_commands import COMMANDS, TRAIN

Array = NDArray[Any]
Write = Callable[[Path], object]
"""Writes wrong input where it is told to."""


@dataclass(frozen=True)
class Case:
    """One wrong input."""

    name: str
    """What is wrong."""
    arguments: tuple[str, ...]
    """The command; `GOOD` and `RUN` stand for a folder of patches and a finished run."""
    message: str
    """Part of the line that must come back."""
    write: Write | None = None
    """Writes the wrong files, if any, into the folder the command works in."""


SMALL = ("--controller", "constant", "--batch_size", "8", "--image_size", "16")

YAMLS: dict[str, tuple[str, str]] = {
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


def _noise(*shape: int, dtype: type[np.integer[Any]] = np.uint8) -> Array:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)


def _many(folder: Path, mode: str, suffix: str = "png") -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    for i in range(12):
        Image.frombytes(mode, (16, 16), rng.bytes(16 * 16 * (channels or (1,))[0])).save(
            folder / f"{i}.{suffix}"
        )


def _write_sixteen_bit(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        Image.fromarray(_noise(16, 16, dtype=np.uint16) + np.uint16(i)).save(folder / f"{i}.png")


def _write_mixed(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        Image.fromarray(_noise(16 + i, 16, 3)).save(folder / f"{i}.png")


def _write_text(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.png").write_text(f"no image {i}")


def _write_truncated(folder: Path) -> None:
    _many(folder, "RGB")
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:200])


def _write_bomb(folder: Path) -> None:
    """A header that claims 30,000 x 30,000 pixels."""
    _many(folder, "RGB")
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        data[16:24] = (30000).to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        file.write_bytes(data)


def _write_npz(**arrays: Array) -> Write:
    return lambda path: np.savez(path.with_suffix(".npz"), allow_pickle=True, **arrays)


DATA: dict[str, tuple[Write, str]] = {
    "empty": (lambda folder: folder.mkdir(), "no PNG, JPEG or TIFF images"),
    "greyscale": (lambda folder: _many(folder, "L"), "--on_bad_image convert"),
    "alpha": (lambda folder: _many(folder, "RGBA"), "alpha channel"),
    "cmyk": (lambda folder: _many(folder, "CMYK", "tif"), "CMYK"),
    "16 bit": (_write_sixteen_bit, "16-bit"),
    "mixed sizes": (_write_mixed, "mixed sizes"),
    "text": (_write_text, "no PNG, JPEG or TIFF image inside"),
    "truncated": (_write_truncated, "truncated or damaged"),
    "bomb": (_write_bomb, "pixel limit"),
    "npz without keys": (_write_npz(a=np.zeros(3)), "no array 'train_images'"),
    "npz with objects": (_write_npz(train_images=np.array([object()])), "pickled objects"),
    "npz of floats": (_write_npz(train_images=np.zeros((20, 16, 16, 3))), "uint8 of shape (N, H, W, 3)"),
    "npz greyscale": (_write_npz(train_images=_noise(20, 16, 16)), "greyscale"),
    "npz with few labels": (
        _write_npz(train_images=_noise(20, 16, 16, 3), train_labels=np.zeros(3, int)),
        "one integer for each of the 20 images",
    ),
    "npz with one image": (_write_npz(train_images=_noise(1, 16, 16, 3)), "holds only 1 patches"),
    "npz that is text": (lambda path: path.with_suffix(".npz").write_text("text"), "damaged or no npz"),
    "another file": (lambda path: path.write_text("text"), "is a file, but no .npz"),
}


def _writing(name: str, content: str | bytes) -> Write:
    def write(here: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _making(name: str) -> Write:
    return lambda here: (here / name).mkdir()


def _at(name: str, write: Write) -> Write:
    return lambda here: write(here / name)


OUTPUTS: dict[str, tuple[str, str, Write]] = {
    "a file": ("file", "is a file", _writing("file", "x")),
    "not empty": ("full", "is not empty", _writing("full/x", "x")),
    "the data's own parent": (".", "is not empty", _writing("full/x", "x")),
    "a run": (
        "run",
        "continue it with --resume",
        _writing("run/config.yaml", "data: x"),
    ),
    "below a file": ("file/below", "cannot be made", _writing("file", "x")),
    "where nothing can be written": ("/proc/run", "cannot be made", lambda here: None),
    "a device": ("/dev/null", "is a file", lambda here: None),
    "too long": ("x" * 300, "File name too long", lambda here: None),
    "a loop of links": (
        "loop",
        "leads back to itself",
        lambda here: (here / "loop").symlink_to(here / "loop"),
    ),
}
NAMES = ("líne\nbreak", "esc\x1b[31m", "emoji 🧫", "quote'\"", "-dash", "bad\udcffbytes")
"""Names of folders that must neither break the line nor reach the terminal as they are."""
CONTROLLER_HEADS = ("{}", "[]", "{", "[" * 100_000, "null", '{"format": 1e999}', "\x00", '{"format": 2}')
RUN_CONFIGS: dict[str, tuple[str | None, str]] = {
    "nothing": (None, "holds no run"),
    "an empty file": ("", "is damaged"),
    "a list": ("- a", "is damaged"),
    "a wrong number": ("n_images: -3", "is damaged"),
    "half a mapping": ("{", "is damaged"),
    "an unknown option": ("no_such: 1", "is damaged"),
    "text for a number": ("n_images: abc", "is damaged"),
    "deep nesting": ("[" * 5000, "is damaged"),
}
STAGES: dict[str, tuple[str, str]] = {
    "empty": ("", "no list of stages"),
    "no list": ("a: 1", "no list of stages"),
    "unclosed": ("[{", "no readable YAML"),
    "code": ("- !!python/object/apply:os.system ['true']", "no readable YAML"),
    "no name": ("- {n_steps: 3}", "has no name"),
    "unknown field": ("- {name: a, n_stps: 3}", "did you mean 'n_steps'"),
    "no steps": ("- {name: a, n_steps: 0}", "n_steps"),
    "negative rate": ("- {name: a, lr: -1}", "lr"),
    "unknown loss": ("- {name: a, loss: trplet}", "did you mean 'triplet'"),
    "text for a number": ("- {name: a, batch_size: many}", "batch_size"),
    "huge": ("# " + "x" * 100_001, "is larger than"),
}
WEIGHTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a readable safetensors file"),
    "noise": (b"\xff" * 64, "is not a readable safetensors file"),
    "a pickle": (b"\x80\x04\x95" + bytes(64), "is not a readable safetensors file"),
    "a huge header": ((2**62).to_bytes(8, "little") + b"{}", "is not a readable safetensors file"),
    "other weights": (save({"a": np.zeros(3, np.float32)}), "do not fit timm's"),
}
GENERATORS: dict[str, Write] = {
    "no weights": lambda run: (run / "generator.safetensors").unlink(),
    "cut weights": lambda run: (run / "generator.safetensors").write_bytes(b"\xff" * 64),
    "half a head": lambda run: (run / "generator.json").write_text("{"),
    "a list for a head": lambda run: (run / "generator.json").write_text("[]"),
    "another format": lambda run: _change(run, format=99),
    "other networks": lambda run: _change(run, networks="residual"),
    "unknown networks": lambda run: _change(run, networks="../../etc"),
    "networks for points": lambda run: _change(run, networks="mlp"),
    "another shape": lambda run: _change(run, shape=[3, 32, 32]),
    "a huge shape": lambda run: _change(run, shape=[3, 10**9, 10**9]),
    "text for a shape": lambda run: _change(run, shape="abc"),
    "no shape": lambda run: _change(run, shape=None),
}


def _change(run: Path, **values: object) -> None:
    head = json.loads((run / "generator.json").read_text())
    (run / "generator.json").write_text(json.dumps(head | values))


def _hostile(head: str) -> Write:
    write_head, write_weights = (
        _writing("evil/controller.json", head),
        _writing("evil/policy.safetensors", b"\xff" * 64),
    )
    return lambda here: (write_head(here), write_weights(here))


def _run_with(text: str | None) -> Write:
    return _making("run") if text is None else _writing("run/config.yaml", text)


def _cases() -> Iterator[Case]:
    for arguments, message in COMMANDS:
        yield Case(" ".join(arguments)[-60:], arguments, message)
    for name, (text, message) in YAMLS.items():
        options = ("train", "--config", "c.yaml", "--data", "GOOD", "--out", "out")
        yield Case(f"options: {name}", options, message, _writing("c.yaml", text))
    for name, (write, message) in DATA.items():
        source = "data.npz" if "npz" in name else "data"
        arguments = (*TRAIN, source, *SMALL)
        yield Case(f"data: {name}", arguments, message, _at("data", write))
    for name in NAMES:
        arguments = ("train", "--out", "out", f"--data={name}", "--controller", "constant")
        yield Case(
            f"name: {name!a}",
            arguments,
            "no PNG, JPEG or TIFF images",
            _making(name),
        )
    for name, (out, message, write) in OUTPUTS.items():
        yield Case(
            f"--out: {name}",
            ("train", "--data", "GOOD", "--out", out, "--controller", "constant"),
            message,
            write,
        )
    for command in (("generate", "--run", "RUN"), ("fit-snn", "--data", "GOOD"), ("fit-controller",)):
        arguments = (*command, "--out", "full")
        yield Case(f"{command[0]} --out: not empty", arguments, "is not empty", OUTPUTS["not empty"][2])
    for head in CONTROLLER_HEADS:
        arguments = (*TRAIN, "GOOD", "--controller", "evil")
        yield Case(f"controller: {head[:20]!a}", arguments, "evil': controller.json", _hostile(head))
    for name, (content, message) in RUN_CONFIGS.items():
        yield Case(f"resume: {name}", ("train", "--out", "run", "--resume"), message, _run_with(content))
    for name, (text, message) in STAGES.items():
        arguments = ("fit-snn", "--data", "GOOD", "--out", "out", "--batch_size", "8", "--stages", "s.yaml")
        yield Case(f"stages: {name}", arguments, message, _writing("s.yaml", text))
    for name, (weights, message) in WEIGHTS.items():
        arguments = ("fit-snn", "--data", "GOOD", "--out", "out", "--batch_size", "8", "--weights", "w")
        yield Case(f"weights: {name}", arguments, message, _writing("w", weights))
    for name, damage in GENERATORS.items():
        arguments = ("generate", "--run", "RUN", "--out", "g")
        yield Case(f"generator: {name}", arguments, "is unusable", _at("RUN", damage))


CASES: tuple[Case, ...] = tuple(_cases())
"""The catalogue."""


def shortcoming(case: Case, here: Path, good: Path) -> str | None:
    """Run a case and return in what its answer falls short, or `None`.

    Args:
        case: the wrong input.
        here: an empty folder but for `RUN`, a copy of a finished run where the case needs one.
        good: a folder of good patches.
    """
    if case.write is not None:
        case.write(here)
    arguments = [argument.replace("GOOD", str(good)) for argument in case.arguments]
    before, out, err = sorted(here.rglob("*")), io.StringIO(), io.StringIO()
    with _working_in(here), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments)
        except BaseException as error:
            return f"raised {error!r}"
    lines = [line for line in err.getvalue().splitlines() if line and not line.startswith("warning: ")]
    if code != cli.EXIT_WRONG_INPUT:
        return f"ended with {code}"
    if len(lines) != 1 or not lines[0].startswith("error: ") or not lines[0].isprintable():
        return f"said {lines}"
    if case.message not in lines[0]:
        return f"said '{lines[0]}', without '{case.message}'"
    if sorted(here.rglob("*")) != before:
        return f"left {sorted(set(here.rglob('*')) - set(before))} behind"
    return None


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
