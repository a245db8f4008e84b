from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snn import SiameseNet, Stage, create_backbone, finetune
from snn.decoder import MIN_WIDTH, Decoder
from snn.finetuning import trainable_units


def _images(n: int = 24, size: int = 16, seed: int = 0) -> Tensor:
    """Smooth colour gradients, which pass through a narrow code."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 3, 2, 2, generator=generator) * 255
    return nn.functional.interpolate(corners, (size, size), mode="bilinear").to(torch.uint8)


def _autoencoder_stage(**changes: object) -> Stage:
    given = {"n_steps": 4, "batch_size": 8, "lr": 2e-3, "layer_decay": 1.0, "unfreeze": ((0.0, 1.0),)}
    return Stage("reconstruction", objective="reconstruction", **(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def start() -> SiameseNet:
    return SiameseNet("vgg11", depth=2, embedding_dim=16, min_size=16, pretrained=False)


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_decoders_mirror_the_encoder_and_meet_any_size(depth: int) -> None:
    backbone = create_backbone("vgg11", pretrained=False, depth=depth)
    decoder = Decoder.mirroring(backbone)
    width = int(backbone.deepest(torch.zeros(1, 3, 16, 16)).shape[1])
    assert len(decoder.steps) == depth - 1
    for step in decoder.steps:
        assert step.in_channels == width
        width = max(width // 2, MIN_WIDTH)
        assert step.out_channels == width
    for height, width in ((16, 16), (17, 50), (33, 64)):
        with torch.inference_mode():
            code = backbone.deepest(torch.zeros(2, 3, height, width))
            images = decoder(code, (height, width))
        assert code.shape[2] == height // 2 ** (depth - 1)
        assert images.shape == (2, 3, height, width)
        assert bool((images.abs() <= 1).all())


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0", "resnet10t", "vit_tiny_patch16_224", "convnext_atto"]
)
@pytest.mark.parametrize("depth", [1, None])
def test_any_timm_network_can_be_an_encoder(name: str, depth: int | None) -> None:
    backbone = create_backbone(name, pretrained=False, depth=depth)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        code = backbone.deepest(x)
        assert code.ndim == 4
        assert Decoder.mirroring(backbone)(code, (64, 64)).shape == x.shape


def test_weights_follow_the_seed_and_leave_the_global_state(no_gpu_seeds: None) -> None:
    state = torch.get_rng_state()
    first, again, other = (Decoder(64, 2, seed).pixels.weight for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_history_holds_the_error_of_pixels_and_the_decoders_parameters(start: SiameseNet) -> None:
    """Nothing moves at a rate of zero: the error is that of the untrained autoencoder, image by image."""
    model = copy.deepcopy(start)
    stage = _autoencoder_stage(lr=0.0, n_steps=1, shift=0.0, flips=False, stain_jitter=0.0, batch_size=24)
    row = finetune(model, _images(), stages=[stage], seed=3, progress=False).rows[0]
    decoder = Decoder.mirroring(start.backbone, 3)
    x = _images().float() / 127.5 - 1
    with torch.inference_mode():
        error = (decoder(start.backbone.deepest(x), (16, 16)) - x).square().mean()
    assert row.loss == pytest.approx(float(error), rel=1e-4)
    parameters = [*model.backbone.parameters(), *decoder.parameters()]
    assert row.n_trainable == sum(p.numel() for p in parameters)


def test_reconstruction_is_learned_without_labels_and_leaves_head_and_form(start: SiameseNet) -> None:
    model = copy.deepcopy(start)
    held_out = _images(16, seed=9)
    stages = [_autoencoder_stage(n_steps=60), Stage("patches", n_steps=2, batch_size=8)]
    labels = torch.arange(24)
    history = finetune(
        model, _images(), labels=labels, stages=stages, validation=(held_out, None), progress=False
    )
    losses = [row.loss for row in history.rows if row.stage == "reconstruction"]
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    assert [row.step for row in history.rows if row.auc is not None] == [0, 60, 61]
    assert history.rows[60].n_trainable == sum(p.numel() for p in model.head.parameters())
    assert model.state_dict().keys() == start.state_dict().keys()
    only = copy.deepcopy(start)
    finetune(only, _images(), stages=stages[:1], progress=False)
    assert all(
        torch.equal(a, b) for a, b in zip(only.head.parameters(), start.head.parameters(), strict=True)
    )
    moved = zip(only.backbone.parameters(), start.backbone.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in moved)


def test_frozen_encoders_stay_and_equal_seeds_give_equal_weights(start: SiameseNet) -> None:
    frozen = copy.deepcopy(start)
    finetune(frozen, _images(), stages=[_autoencoder_stage(unfreeze=((0.0, 0.0),))], progress=False)
    assert all(torch.equal(a, b) for a, b in zip(frozen.parameters(), start.parameters(), strict=True))
    weights = []
    for seed in (1, 1, 2):
        model = copy.deepcopy(start)
        finetune(model, _images(), stages=[_autoencoder_stage()], seed=seed, progress=False)
        weights.append(torch.cat([p.flatten() for p in trainable_units(model, 1.0)[-1]]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_normalisation_layers_keep_their_statistics_from_random_weights_too() -> None:
    model = SiameseNet("vgg11_bn", depth=2, embedding_dim=16, min_size=16, pretrained=False)
    before = {key: value.clone() for key, value in model.named_buffers()}
    rows = finetune(model, _images(), stages=[_autoencoder_stage(n_steps=40)], progress=False).rows
    assert sum(row.loss for row in rows[-5:]) < 0.6 * sum(row.loss for row in rows[:5])
    assert all(torch.equal(value, before[key]) for key, value in model.named_buffers())


def test_small_images_are_reconstructed_as_the_backbone_sees_them() -> None:
    model = SiameseNet("vgg11", depth=2, embedding_dim=16, min_size=32, pretrained=False)
    seen: list[torch.Size] = []
    model.backbone.network.features[0].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].shape)
    )
    finetune(model, _images(size=16), stages=[_autoencoder_stage(n_steps=1)], progress=False)
    assert seen[-1] == (16, 3, 32, 32)


def test_a_network_without_feature_maps_is_refused(
    monkeypatch: pytest.MonkeyPatch, start: SiameseNet
) -> None:
    model = copy.deepcopy(start)
    model.backbone.network = nn.Flatten()
    with pytest.raises(ValueError, match="Flatten gives no feature maps to decode; choose another backbone"):
        model.backbone.deepest(torch.zeros(1, 3, 16, 16))
