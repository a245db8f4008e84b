from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn import DEFAULT_STAGES, QUICK_STAGES, Stage
from snn.losses import LOSSES, MINERS
from snn.presets import PRESETS
from snn.stage_files import load_stages, parse_stages, stages_to_yaml

_share = st.floats(0, 1)
_above_zero = {"exclude_min": True, "allow_subnormal": False}
_stages = st.builds(
    Stage,
    name=st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip()),
    objective=st.sampled_from(["siamese", "reconstruction"]),
    source=st.sampled_from(["regions", "patches"]),
    n_steps=st.integers(1, 10**9),
    batch_size=st.integers(2, 10**6),
    lr=st.floats(0, 1e6),
    layer_decay=st.floats(0, 1, **_above_zero),
    unfreeze=st.lists(st.tuples(_share, _share), max_size=4).map(
        lambda pairs: ((0.0, 0.5), *sorted(pairs)),
    ),
    loss=st.sampled_from(sorted(LOSSES)),
    margin=st.floats(0, 2, **_above_zero),
    temperature=st.floats(0, 10, **_above_zero),
    miner=st.sampled_from(["", *sorted(MINERS)]),
    label_weight=st.floats(0, 100),
    degraded=_share,
    shift=st.floats(0, 1, exclude_max=True),
    flips=st.booleans(),
    stain_jitter=st.floats(0, 1),
)


@given(st.lists(_stages, min_size=1, max_size=3))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_stages_come_back_from_yaml_as_they_were(stages: list[Stage]) -> None:
    assert parse_stages(stages_to_yaml(stages)) == tuple(stages)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_presets_stages_come_back_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text(stages_to_yaml(PRESETS[name].stages), "utf-8")
    assert load_stages(file) == PRESETS[name].stages


def test_what_is_left_out_has_its_default_and_numbers_may_lack_a_point() -> None:
    text = "- name: near\n  lr: 2e-3\n  shift: 0\n- {name: wide, source: regions, unfreeze: [[0, 1]]}\n"
    assert parse_stages(text) == (
        Stage("near", lr=2e-3, shift=0),
        Stage("wide", source="regions", unfreeze=((0, 1),)),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- !!python/object/apply:os.system ['true']", "no readable YAML"),
        ("- name: [", "no readable YAML"),
        ("[" * 1500, "no readable YAML"),
        ("", "no list of stages"),
        ("name: near", "no list of stages"),
        ("- near", "no list of stages"),
        ("- lr: 1.0", "stage 1 has no name"),
        (
            "- name: near\n- name: wide\n  n_step: 3",
            "unknown field of stage 2 'n_step'; did you mean 'n_steps'",
        ),
        ("- {name: near, 3: 4}", "unknown field of stage 1 '3'"),
        ("- {name: near, loss: contrast}", "unknown loss 'contrast'; did you mean 'contrastive'"),
        ("- {name: near, miner: hard}", "unknown miner 'hard'; did you mean"),
        ("- {name: near, source: patch}", "unknown source of stage 'near' 'patch'; did you mean 'patches'"),
        ("- {name: near, objective: reconstruct}", "did you mean 'reconstruction'"),
        ("- {name: near, n_steps: 2.5}", "stage 'near': n_steps=2.5; give a whole number"),
        ("- {name: near, n_steps: true}", "stage 'near': n_steps=True; give a whole number"),
        ("- {name: near, lr: fast}", "stage 'near': lr='fast'; give a number"),
        ("- {name: near, lr: .nan}", "stage 'near': lr=nan; it must be at least 0"),
        ("- {name: near, lr: .inf}", "stage 'near': lr=inf"),
        ("- {name: near, flips: 1}", "stage 'near': flips=1; give true or false"),
        ("- {name: near, loss: [contrastive]}", "loss=.'contrastive'.; give text"),
        ("- {name: 7}", "stage 7: name=7; give text"),
        ("- {name: ''}", "give a name that can be printed"),
        ('- {name: "a\\nb"}', "give a name that can be printed"),
        ("- {name: near, unfreeze: 1}", "unfreeze=1; give pairs of numbers"),
        ("- {name: near, unfreeze: [[0, 1, 2]]}", "give pairs of numbers"),
        ("- {name: near, unfreeze: [[0.5, 1]]}", "the first at moment 0"),
        ("- {name: near, unfreeze: []}", "the first at moment 0"),
        ("- {name: near, degraded: 2}", "degraded=2; it must be in"),
        ("- {name: near, shift: 1}", "shift=1; it must be in"),
        ("- {name: near, margin: 3}", "margin=3; it must be in"),
    ],
)
def test_what_is_no_stage_is_refused_in_one_line_with_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_stages(file)
    assert str(caught.value).startswith(f"'{file}': ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_aliases_that_multiply_make_no_long_message(tmp_path: Path) -> None:
    lines = ["- name: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"  k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="unknown field of stage 1 'k1'"):
        load_stages(tmp_path / "bomb.yaml")
    lines = [line.replace(f"k{i}", "name") for i, line in enumerate(lines)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="give text") as caught:
        load_stages(tmp_path / "bomb.yaml")
    assert len(str(caught.value)) < 1000


def test_missing_and_huge_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'.*none.yaml' does not exist; give a YAML file of stages"):
        load_stages(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="is no file"):
        load_stages(tmp_path)
    (tmp_path / "huge.yaml").write_text("#" * 200_000)
    with pytest.raises(ValueError, match="is larger than"):
        load_stages(tmp_path / "huge.yaml")


def test_stages_have_every_part_in_order() -> None:
    for stages in (DEFAULT_STAGES, QUICK_STAGES):
        assert [stage.source for stage in stages] == ["regions", "patches"]
        assert all(len(stage.unfreeze) > 1 and stage.unfreeze[0] == (0.0, 0.0) for stage in stages)


def test_every_field_is_checked_for_its_type() -> None:
    for field in fields(Stage):
        with pytest.raises(TypeError, match=f"{field.name}="):
            replace(DEFAULT_STAGES[0], **{field.name: None})
