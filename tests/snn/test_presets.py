from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from snn import DEFAULT_STAGES, PRESETS, SiameseNet, Stage
from snn.presets import Preset, find_preset


def test_paper_holds_what_the_paper_names_in_order() -> None:
    paper = PRESETS["paper"]
    assert paper.backbone.startswith("vgg16")
    assert not paper.pretrained
    stages = [(stage.objective, stage.source) for stage in paper.stages]
    assert stages == [("reconstruction", "patches"), ("siamese", "regions"), ("siamese", "patches")]
    for stage in paper.stages[1:]:
        shares = [share for _, share in stage.unfreeze]
        assert len(shares) > 2
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert stage.loss == "contrastive"


def test_fast_is_the_default_network_with_the_default_stages() -> None:
    assert PRESETS["fast"].stages == DEFAULT_STAGES
    assert PRESETS["fast"].build(pretrained=False).config == SiameseNet(pretrained=False).config


STAGELESS = {"name", "n_steps", "unfreeze", "layer_decay"}


@pytest.mark.parametrize(
    ("form", "allowed"), [("one_stage", STAGELESS), ("standard", STAGELESS | {"degraded"})]
)
@pytest.mark.parametrize("name", ["paper", "fast"])
def test_forms_beside_a_preset_are_one_stage_of_equal_length(name: str, form: str, allowed: set[str]) -> None:
    preset = PRESETS[name]
    standard: Preset = getattr(preset, form)()
    (stage,) = standard.stages
    assert stage.n_steps == sum(stage.n_steps for stage in preset.stages) == standard.n_steps
    assert (stage.objective, stage.source, stage.layer_decay) == ("siamese", "patches", 1.0)
    assert stage.unfreeze == ((0.0, 1.0),)
    assert stage.unfrozen_share(0) == 1
    assert replace(standard, stages=preset.stages) == preset
    changed = {f.name for f in fields(Stage) if getattr(stage, f.name) != getattr(preset.stages[-1], f.name)}
    assert changed <= allowed
    assert form == "one_stage" or stage.degraded == 0


def test_standard_is_the_standard_form_of_fast() -> None:
    assert PRESETS["standard"] == PRESETS["fast"].standard()


def test_networks_follow_the_seed_and_given_weights(tmp_path: Path) -> None:
    small = Preset("resnet10t", 1, 8, 16, False, PRESETS["paper"].stages)
    first, again, other = (small.build(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])
    assert small.standard().build(1).state_dict()["head.1.weight"].equal(first["head.1.weight"])
    weights = timm.create_model("resnet10t", pretrained=False).state_dict()
    save_file(weights, tmp_path / "resnet.safetensors")
    given = small.build(pretrained=tmp_path / "resnet.safetensors")
    assert torch.equal(given.backbone.network.conv1[0].weight, weights["conv1.0.weight"])


def test_unknown_presets_name_the_nearest() -> None:
    assert find_preset("paper") is PRESETS["paper"]
    with pytest.raises(ValueError, match="unknown preset 'papper'; did you mean 'paper'"):
        find_preset("papper")
