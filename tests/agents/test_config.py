from __future__ import annotations

import re
from dataclasses import fields

import pytest
import yaml

from agents import config
from agents.cli import COMMANDS
from agents.options import parse

CONFIGS = [command.options for command in COMMANDS.values()]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_in_the_help(name, capsys) -> None:
    command = COMMANDS[name]
    assert parse(name, command.options, ["--help"], positional=command.positional) is None
    shown = " ".join(capsys.readouterr().out.split())
    for field in fields(command.options):
        assert re.search(rf"(--| ){field.name} ", shown), field.name
    assert len(re.findall(r"\((?:required, )?type: ", shown)) == len(fields(command.options))


@pytest.mark.parametrize("name", ["train", "evaluate", "generate"])
def test_defaults_survive_the_command_line(name) -> None:
    options = COMMANDS[name].options
    assert parse(name, options, []) == options()


def test_flags_work_bare_and_with_a_value() -> None:
    def resume(*arguments: str) -> bool:
        return parse("train", config.TrainConfig, ["--out", "o", *arguments]).resume

    assert resume("--resume")
    assert resume("--resume", "true")
    assert resume("--resume=true")
    assert resume("--resume", "--seed", "3")
    assert not resume("--resume", "false")
    assert not resume("--resume=false")
    assert not resume()


@pytest.mark.parametrize("form", [["--knobs", "g_lr,d_lr"], ["--knobs=g_lr,d_lr"],
                                  ["--knobs", "[g_lr, d_lr]"],
                                  ["--knobs=[g_lr,d_lr]"]])  # fmt: skip
def test_lists_need_no_brackets(form) -> None:
    assert parse("train", config.TrainConfig, form).knobs == ["g_lr", "d_lr"]


@pytest.mark.parametrize(("given", "read"), [("64", 64), ("16x24", "16x24")])
def test_sizes_are_read_alike_from_flags_and_files(tmp_path, given, read) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"image_size: {given}")
    assert parse("train", config.TrainConfig, ["--image_size", given]).image_size == read
    assert parse("train", config.TrainConfig, ["--config", str(file)]).image_size == read


def test_the_command_line_overrides_the_file(tmp_path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"data": "here", "seed": 5, "resume": False}))
    read = parse("train", config.TrainConfig, ["--config", str(file), "--seed", "6", "--out", "o"])
    assert (read.data, read.seed, read.out) == ("here", 6, "o")


def test_a_resumed_run_needs_its_folder_only() -> None:
    given = {"needs": COMMANDS["train"].needs, "knows": COMMANDS["train"].knows}
    assert parse("train", config.TrainConfig, ["--out", "o", "--resume"], **given).out == "o"
    with pytest.raises(ValueError, match="needs --out;"):
        parse("train", config.TrainConfig, ["--resume"], **given)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (config.TrainConfig, {"n_images": 0}),
        (config.TrainConfig, {"inner_steps": 0}),
        (config.TrainConfig, {"seed": -1}),
        (config.TrainConfig, {"held_out": 0.0}),
        (config.DemoConfig, {"n_images": 0}),
        (config.FitSNNConfig, {"batch_size": 1}),
        (config.FitSNNConfig, {"held_out": 1.0}),
        (config.FitControllerConfig, {"n_envs": 0}),
        (config.GenerateConfig, {"n": 0}),
        (config.EvaluateConfig, {"n": 1}),
    ],
)
def test_values_out_of_range_are_refused_by_name(options, values) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=f"^{name} is .*; give"):
        options(**values)


SEEDED = [options for options in CONFIGS if any(field.name == "seed" for field in fields(options))]


@pytest.mark.parametrize("options", SEEDED)
def test_seeds_end_where_those_of_stable_baselines_do(options) -> None:
    assert options(seed=2**32 - 1).seed == 2**32 - 1
    for seed in (2**32, 2**64, 10**23):
        with pytest.raises(ValueError, match=f"^seed is {seed}; give .* 0 to 4294967295$"):
            options(seed=seed)


def test_the_last_of_several_seeds_is_within_the_limit_too() -> None:
    assert len(SEEDED) >= 6
    assert config.FitControllerConfig(seed=2**32 - 3, seeds=3).seeds == 3
    with pytest.raises(ValueError, match=r"^seeds is 4 from seed 4294967293 on; .* 4294967295$"):
        config.FitControllerConfig(seed=2**32 - 3, seeds=4)
