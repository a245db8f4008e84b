from __future__ import annotations

import copy
import json
import logging
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from snn import MINERS, SiameseNet, Stage, evaluate, finetune
from snn.finetuning import HistoryRow, trainable_units
from snn.losses import LOSSES

QUICK = Stage("toy", n_steps=6, batch_size=8, unfreeze=((0.0, 0.0), (0.5, 0.5)))


def _textures(n: int, seed: int, size: int = 16) -> Tensor:
    """Random stripes of random period, direction and colour."""
    generator = torch.Generator().manual_seed(seed)
    angle, period, phase = torch.rand(3, n, 1, 1, 1, generator=generator)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = torch.sin((x * (angle * 3).cos() + y * (angle * 3).sin()) * (0.4 + period) + 6 * phase)
    colour = torch.rand(n, 3, 1, 1, generator=generator)
    noise = torch.rand(n, 3, size, size, generator=generator)
    return (255 * (0.5 * colour + 0.3 * (wave + 1) / 2 + 0.2 * noise)).to(torch.uint8)


@pytest.fixture(scope="module")
def start() -> SiameseNet:
    return SiameseNet(depth=2, embedding_dim=16, min_size=16)


def _fitted(start: SiameseNet, seed: int, stage: Stage = QUICK, labels: Tensor | None = None) -> SiameseNet:
    model = copy.deepcopy(start)
    finetune(model, _textures(24, 0), labels=labels, stages=[stage], seed=seed, progress=False)
    return model


def test_fine_tuning_raises_verification_auc(start: SiameseNet) -> None:
    model = copy.deepcopy(start)
    images, held_out = _textures(200, 0), _textures(150, 1)
    before = evaluate(model, held_out).auc
    stage = Stage("toy", n_steps=50, batch_size=24, lr=3e-3, unfreeze=((0.0, 0.0), (0.3, 1.0)))
    history = finetune(model, images, stages=[stage], validation=(held_out, None), progress=False)
    after = evaluate(model, held_out).auc
    assert after > before + 0.05
    assert history.rows[0].auc == pytest.approx(before)
    assert history.final_auc == pytest.approx(after)


def test_equal_seeds_give_equal_weights_and_others_do_not(start: SiameseNet) -> None:
    states = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    labels = torch.arange(24) % 3
    first, again, other = (_fitted(start, seed, labels=labels).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_only_the_unfrozen_part_changes(start: SiameseNet, share: float) -> None:
    model = _fitted(start, 0, Stage("s", n_steps=3, batch_size=8, unfreeze=((0.0, share),)))
    trained = {id(p) for unit in trainable_units(model, share) for p in unit}
    assert len(trainable_units(model, share)) == 1 + math.ceil(share * len(model.backbone.units()))
    for (name, after), before in zip(model.named_parameters(), start.parameters(), strict=True):
        assert torch.equal(after, before) == (id(after) not in trained), name
    for (name, after), before in zip(model.named_buffers(), start.buffers(), strict=True):
        assert torch.equal(after, before), f"running statistics must stay: {name}"


def test_units_are_unfrozen_from_the_head_downwards(start: SiameseNet) -> None:
    rows: list[HistoryRow] = []
    stage = Stage("s", n_steps=8, batch_size=8, unfreeze=((0.0, 0.0), (0.25, 0.5), (0.75, 1.0)))
    model = copy.deepcopy(start)
    history = finetune(model, _textures(16, 0), stages=[stage], progress=False, on_step=rows.append)
    assert rows == history.rows
    counts = [row.n_trainable for row in rows]
    assert counts == sorted(counts)
    assert counts[0] == sum(p.numel() for p in model.head.parameters())
    assert counts[-1] == sum(p.numel() for p in model.parameters())
    last_block = {id(p) for p in model.backbone.network.blocks[-1].parameters()}
    assert {id(p) for p in trainable_units(model, 0.2)[1]} == last_block
    assert history.as_dicts()[0]["stage"] == "s"


def test_stages_on_regions_come_first_or_are_left_out(
    start: SiameseNet, caplog: pytest.LogCaptureFixture
) -> None:
    stages = [
        Stage("wide", source="regions", n_steps=2, batch_size=8),
        Stage("near", n_steps=2, batch_size=8),
    ]
    images, regions = _textures(16, 0), _textures(4, 1)
    history = finetune(copy.deepcopy(start), images, regions=regions, stages=stages, progress=False)
    assert [row.stage for row in history.rows] == ["wide", "wide", "near", "near"]
    assert [row.step for row in history.rows] == [0, 1, 2, 3]
    with caplog.at_level(logging.INFO, logger="snn"):
        history = finetune(copy.deepcopy(start), images, stages=stages, progress=False)
    assert [row.stage for row in history.rows] == ["near", "near"]
    assert "'wide' is left out" in caplog.text
    with pytest.raises(ValueError, match="no stage is left"):
        finetune(copy.deepcopy(start), images, stages=stages[:1], progress=False)


def test_labels_pull_classes_together(start: SiameseNet) -> None:
    labels = torch.arange(24) % 2
    with_labels = _fitted(start, 0, Stage("s", n_steps=20, batch_size=16, label_weight=5.0), labels)
    without = _fitted(start, 0, Stage("s", n_steps=20, batch_size=16, label_weight=0.0), labels)
    images = _textures(24, 0)
    assert evaluate(with_labels, images, labels).auc > evaluate(without, images, labels).auc


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_trains(start: SiameseNet, name: str) -> None:
    model = copy.deepcopy(start)
    stage = Stage("s", n_steps=15, batch_size=16, loss=name, unfreeze=((0.0, 1.0),))
    rows = finetune(model, _textures(64, 0), stages=[stage], progress=False).rows
    assert sum(row.loss for row in rows[-4:]) < sum(row.loss for row in rows[:4])


def test_a_loss_that_is_not_finite_stops_with_a_remedy(start: SiameseNet) -> None:
    model = copy.deepcopy(start)
    with torch.no_grad():
        model.head[1].bias[0] = float("nan")
    with pytest.raises(FloatingPointError, match="lower its lr"):
        finetune(model, _textures(8, 0), stages=[QUICK], progress=False)


def test_bad_images_are_refused(start: SiameseNet) -> None:
    images = _textures(8, 0)
    with pytest.raises(ValueError, match="images must be uint8"):
        finetune(start, images.float(), progress=False)
    with pytest.raises(ValueError, match="1 images make no dissimilar pair"):
        finetune(start, images[:1], progress=False)
    with pytest.raises(ValueError, match="labels of shape"):
        finetune(start, images, labels=torch.zeros(7), progress=False)


@pytest.mark.parametrize("kind", ["one class", "all alone"])
def test_labels_that_say_nothing_are_left_out(start: SiameseNet, kind: str) -> None:
    labels = torch.zeros(24, dtype=torch.long) if kind == "one class" else torch.arange(24)
    stage = Stage("s", n_steps=3, batch_size=16, label_weight=1.0)
    with_labels = _fitted(start, 0, stage, labels).state_dict()
    without = _fitted(start, 0, stage).state_dict()
    assert all(torch.equal(with_labels[key], without[key]) for key in without)


def test_a_class_of_one_image_is_no_hindrance(start: SiameseNet) -> None:
    labels = torch.arange(24) % 2
    labels[5] = 7
    stage = Stage("s", n_steps=4, batch_size=24, label_weight=1.0)
    history = finetune(copy.deepcopy(start), _textures(24, 0), labels=labels, stages=[stage], progress=False)
    assert all(math.isfinite(row.loss) for row in history.rows)


@pytest.mark.parametrize("miner", sorted(MINERS))
def test_every_miner_changes_what_is_learned(start: SiameseNet, miner: str) -> None:
    stage = Stage("s", n_steps=3, batch_size=12, loss="triplet", unfreeze=((0.0, 1.0),))
    plain = _fitted(start, 0, stage).head[1].weight
    mined = _fitted(start, 0, replace(stage, miner=miner)).head[1].weight
    assert bool(torch.isfinite(mined).all())
    assert not torch.equal(plain, mined)


STAGES = (
    Stage("copies", n_steps=4, batch_size=8, objective="reconstruction", unfreeze=((0.0, 1.0),)),
    Stage("first", n_steps=6, batch_size=8, unfreeze=((0.0, 0.0), (0.5, 0.5))),
    Stage("second", n_steps=5, batch_size=8, unfreeze=((0.0, 0.5), (0.6, 1.0))),
)


@pytest.mark.parametrize("stopped_after", [1, 3, 4, 5, 7, 10, 14, 15])
def test_a_fit_goes_on_where_it_was_stopped(start: SiameseNet, stopped_after: int) -> None:
    """Weights and history end as those of an undisturbed fit, bit by bit."""
    images, validation = _textures(24, 0), (_textures(16, 1), None)
    arguments = {"stages": STAGES, "validation": validation, "seed": 3, "progress": False}
    whole, states = copy.deepcopy(start), []
    undisturbed = finetune(whole, images, keep=states.append, keep_every=1, **arguments)
    state = states[stopped_after - 1]
    assert len(state.values["rows"]) == stopped_after
    resumed = copy.deepcopy(start)
    assert finetune(resumed, images, start=state, **arguments) == undisturbed
    weights = resumed.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.state_dict().items())


def test_what_is_kept_is_a_copy_and_json_able(start: SiameseNet) -> None:
    states: list = []
    finetune(
        copy.deepcopy(start),
        _textures(24, 0),
        stages=STAGES,
        keep=states.append,
        keep_every=5,
        progress=False,
    )
    assert [len(state.values["rows"]) for state in states] == [5, 10, 15]
    assert json.loads(json.dumps(states[0].values)) == states[0].values
    name = "model/head.1.weight"
    assert not torch.equal(states[0].tensors[name], states[1].tensors[name])


def test_the_state_of_another_network_is_refused(start: SiameseNet) -> None:
    states: list = []
    finetune(
        copy.deepcopy(start),
        _textures(24, 0),
        stages=STAGES[1:],
        keep=states.append,
        progress=False,
        keep_every=3,
    )
    other = SiameseNet(depth=2, embedding_dim=8, min_size=16)
    with pytest.raises(ValueError, match="had another network"):
        finetune(other, _textures(24, 0), stages=STAGES[1:], start=states[0], progress=False)
