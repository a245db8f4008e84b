"""Every page is true: its Python runs, its commands and tables are the package's, its links lead somewhere.

What the pages may hold: blocks of `KINDS`, each with its language behind the fence. Python blocks are run,
each by itself; every line of a shell block is checked by what it calls, and a line that nothing here can
check fails; `text` and `yaml` are shown only. So nothing is left out in silence. In commands, words in
capital letters and `my_...` stand for the reader's own files.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import pytest

import gan_gym
from agents import cli
from agents.algorithms import ALGOS
from agents.baselines import BASELINES
from agents.controller import SHIPPED, shipped
from agents.mixtures import MIXTURES
from agents.online import ONLINE
from agents.options import parse
from agents.planning import REWARD_MODELS
from agents.verdict import State
from benchmarks.contestants import KNOWN
from benchmarks.faults import patches
from benchmarks.pbt import POPULATIONS
from benchmarks.quality_runs import DIFFUSION, FORMS
from benchmarks.reference_models import REFERENCE_MODELS
from benchmarks.settings import SETTINGS
from benchmarks.similarity_models import MODELS
from gan_gym.gan import LOSSES, NETWORKS
from gan_gym.instances import INSTANCES
from gan_gym.knobs import KNOBS
from gan_gym.observations import GROUPS
from gan_gym.rewards import REWARDS
from snn import PRESETS

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in [ROOT / "README.md", *ROOT.glob("docs/*.md")]
}
KINDS = ("python", "bash", "text", "yaml")
ENVIRONMENTS = tuple(f"{name}-v0" for name in gan_gym.ENVIRONMENTS)
NAMES: dict[str, Iterable[str]] = {
    "agents": (*ALGOS, *shipped()),
    "algo": ALGOS,
    "baselines": KNOWN,
    "forms": FORMS,
    "models": (*REFERENCE_MODELS, DIFFUSION, *MODELS),
    "controller": (*BASELINES, *shipped()),
    "env": (*ENVIRONMENTS, *MIXTURES),
    "imitate": BASELINES,
    "knobs": KNOBS,
    "learn": ONLINE,
    "loss": LOSSES,
    "networks": (*NETWORKS, "auto"),
    "preset": PRESETS,
    "reward_model": REWARD_MODELS,
    "setting": SETTINGS,
    "train_env": (*ENVIRONMENTS, *MIXTURES),
}
"""What options take that their parsers read as any text."""
OWN = re.compile(r"[A-Z]+|my_\w+|.*[/=].*")
"""What stands for a file of the reader's own, or names one."""
TABLES: list[tuple[str, str, Iterable[str]]] = [
    ("docs/gans.md", "Networks", NETWORKS),
    ("docs/gans.md", "Losses", LOSSES),
    ("docs/gans.md", "Knobs", KNOBS),
    ("docs/pathologists.md", "The verdict", get_args(State)),
    ("docs/reproducing.md", "Models", (*REFERENCE_MODELS, DIFFUSION)),
    ("docs/reproducing.md", "Forms of control", FORMS),
    ("docs/rl.md", "The environments", ENVIRONMENTS),
    ("docs/rl.md", "Observations", GROUPS),
    ("docs/rl.md", "Rewards", REWARDS),
    ("docs/rl.md", "Instances: train, validation, test", INSTANCES),
    ("docs/rl.md", "Baselines", (*BASELINES, "lookahead", *POPULATIONS)),
]
"""Page, heading, and the names that the first column of the table below it holds."""


def _blocks(kind: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{page}:{content[: match.start()].count(chr(10)) + 1}")
        for page, content in PAGES.items()
        for match in re.finditer(r"^```([^\n]*)\n(.*?)^```$", content, re.MULTILINE | re.DOTALL)
        for language, text in [match.groups()]
        if language == kind
    ]


def _lines(start: str) -> list[Any]:
    return [
        pytest.param(line, id=f"{block.id}, {line[:60]}")
        for block in _blocks("bash")
        for line in block.values[0].replace("\\\n", " ").splitlines()
        if line.startswith(start)
    ]


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the commands' placeholders stand for."""
    folder = tmp_path_factory.mktemp("reader")
    for path, name in zip(
        sorted(patches(folder / "PATCHES", 80).iterdir()), ("benign", "malignant"), strict=True
    ):
        path.rename(path.with_name(name))
    (folder / "my_controller").symlink_to(SHIPPED / "pretrained")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_checked(page: str) -> None:
    fences = re.findall(r"^ *```(.*)$", PAGES[page], re.MULTILINE)
    assert {*fences[::2]} <= {*KINDS}
    assert not any(fences[1::2])


def test_first_two_shell_blocks_are_one_line_each_and_set_everything_up() -> None:
    demo, tests = (block.values[0].strip() for block in _blocks("bash")[:2])
    assert "\n" not in demo
    assert "\n" not in tests
    assert demo.startswith("python3 -m venv")
    assert demo.endswith("gan-gym demo")
    assert tests.endswith("-m pytest")


@pytest.mark.parametrize("line", _lines(""))
def test_every_command_is_one_that_is_checked(line: str) -> None:
    checked = ("gan-gym ", "python -m benchmarks.")
    plain = (
        "#",
        "pip install ",
        "source ",
        "tensorboard --logdir ",
        "python3 -m venv .venv && .venv/bin/pip ",
    )
    assert not line or line.startswith((*checked, *plain))


def _check_names(options: dict[str, Any]) -> None:
    for option, value in options.items():
        given = value if isinstance(value, list) else [value]
        for name in given if option in NAMES else ():
            assert name is None or name in NAMES[option] or OWN.fullmatch(name), f"--{option} {name}"


@pytest.mark.parametrize("line", _lines("gan-gym "))
def test_every_command_line_parses(
    line: str, own_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    if name in ("demo", "doctor") and not arguments:
        return
    command = cli.COMMANDS[name]
    needed = {"needs": command.needs, "knows": command.knows, "positional": command.positional}
    options = parse(name, command.options, arguments, **needed)
    assert options
    _check_names(vars(options))
    if name == "train" and not options.resume and str(options.data).startswith("PATCHES"):
        monkeypatch.chdir(own_files)
        assert cli.main(["train", *arguments, "--dry_run"]) == 0, capsys.readouterr().err


class _Parsed(Exception):
    """Raised in place of running a benchmark."""


@pytest.mark.parametrize("line", _lines("python -m benchmarks."))
def test_every_benchmark_line_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, module, *arguments = shlex.split(line, comments=True)
    read = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *given: Any) -> None:
        raise _Parsed(read(self, *given))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(_Parsed) as parsed:
        importlib.import_module(module).main(arguments)
    _check_names(vars(parsed.value.args[0]))


@pytest.mark.parametrize("code", _blocks("python"))
def test_every_python_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with patch.dict(LOSSES), patch.dict(NETWORKS), patch.dict(REWARDS):  # what a block adds goes again
        exec(compile(code, "a page", "exec"), {})


@pytest.mark.parametrize(("page", "heading", "names"), TABLES, ids=lambda value: str(value)[:30])
def test_tables_name_what_there_is(page: str, heading: str, names: Iterable[str]) -> None:
    section = re.split(r"^#+ ", PAGES[page].partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    first = [row.split("|")[1].strip(" `") for row in section.splitlines() if row.startswith("|")]
    assert first[2:] == [*names]


def _anchors(text: str) -> set[str]:
    """Return the names that headings have as links, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        name = str(file.relative_to(ROOT))
        assert file.exists(), target
        assert not anchor or anchor in _anchors(PAGES[name]), target


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w.]+\.md)\)", PAGES["docs/README.md"]))
    assert {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"} <= linked
