from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from snn import Stage, to_float
from snn.augmentation import degrade, jitter_stain, view
from snn.pairs import PairSampler


def _images(n: int = 20, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator).to(torch.uint8)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_views_move_pixels_and_invent_none() -> None:
    x = to_float(_images())
    seen = view(x, _generator(), shift=0.5, stain_jitter=0.0)
    assert seen.shape == x.shape
    for before, after in zip(x, seen, strict=True):
        own = {tuple(pixel) for pixel in before.flatten(1).T.tolist()}
        assert {tuple(pixel) for pixel in after.flatten(1).T.tolist()} <= own
        assert not torch.equal(before, after)


def test_without_shift_and_flips_a_view_is_the_image() -> None:
    x = to_float(_images())
    assert torch.equal(view(x, _generator(), shift=0.0, flips=False, stain_jitter=0.0), x)
    flipped = view(x, _generator(), shift=0.0, flips=True, stain_jitter=0.0)
    for before, after in zip(x, flipped, strict=True):
        turns = [before.rot90(k, (1, 2)) for k in range(4)]
        assert any(torch.equal(after, t) or torch.equal(after, t.flip(2)) for t in turns)


def test_stain_jitter_scales_optical_density() -> None:
    x = torch.rand(6, 3, 8, 8, generator=_generator()) * 1.2 - 0.7
    torch.testing.assert_close(jitter_stain(x, _generator(), 0.0), x, rtol=1e-4, atol=1e-4)
    shifted = jitter_stain(x, _generator(), 0.1)
    assert 0 < (shifted - x).abs().mean() < 0.2
    white = torch.ones(2, 3, 8, 8)
    torch.testing.assert_close(jitter_stain(white, _generator(), 0.5), white, rtol=0, atol=1e-5)


def test_degraded_views_differ_from_every_image() -> None:
    x = to_float(_images(12))
    damaged = degrade(x, _generator())
    assert bool((damaged - x).abs().mean(dim=(1, 2, 3)).gt(0.01).all())
    assert damaged.abs().max() <= 1


def test_batches_are_functions_of_seed_and_step() -> None:
    stage = Stage("s", batch_size=8)
    sampler = PairSampler(_images(), None, stage, (1, 0))
    later, first = sampler.batch(5), sampler.batch(0)
    again = PairSampler(_images(), None, stage, (1, 0)).batch(5)
    assert torch.equal(later.views, again.views)
    assert not torch.equal(later.views, first.views)
    assert not torch.equal(later.views, PairSampler(_images(), None, stage, (2, 0)).batch(5).views)


def test_pairs_are_views_of_one_image_and_degraded_views_stand_alone() -> None:
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 3, 16, 16).mul(12)
    stage = Stage("s", batch_size=8, degraded=0.5, stain_jitter=0.0)
    labels = torch.arange(20) // 10
    batch = PairSampler(images, labels, stage, (0,)).batch(0)
    assert batch.labels is not None
    n = len(batch.labels) // 2
    assert torch.equal(batch.views[:n], batch.views[n : 2 * n])
    assert torch.equal(batch.instance[:n], batch.instance[n : 2 * n])
    assert len(batch.views) == len(batch.instance) == 2 * n + round(n / 2)
    assert len(set(batch.instance.tolist())) == n + round(n / 2)
    shade = ((batch.views[: 2 * n].mean(dim=(1, 2, 3)) + 1) * 127.5 / 12).round().long()
    assert torch.equal(labels[shade], batch.labels)


def test_labels_bring_partners_of_rare_classes() -> None:
    labels = torch.arange(400) // 2
    batch = PairSampler(_images(400, 8), labels, Stage("s", batch_size=32), (0,)).batch(0)
    assert batch.labels is not None
    assert int((torch.bincount(batch.labels) >= 4).sum()) >= 12
    without = PairSampler(_images(400, 8), labels, Stage("s", batch_size=32, label_weight=0), (0,)).batch(0)
    assert without.labels is not None
    assert int((torch.bincount(without.labels) >= 4).sum()) <= 4


@pytest.mark.parametrize("degraded", [0.25, 0.5])
def test_all_classes_are_damaged_alike(degraded: float) -> None:
    """Folders are read class by class, and which class is the last is a matter of its name."""
    images, labels = _images(80, 8), torch.arange(80) // 20
    sampler = PairSampler(images, labels, Stage("s", batch_size=32, degraded=degraded), (0,))
    counts = torch.zeros(4)
    for step in range(40):
        batch = sampler.batch(step)
        assert batch.labels is not None
        n = len(batch.labels) // 2
        damaged = len(batch.views) - 2 * n
        counts += torch.bincount(batch.labels[:damaged], minlength=4)
    assert (counts / counts.sum()).min() > 0.2


def test_no_global_random_state_is_touched() -> None:
    state = torch.get_rng_state()
    PairSampler(_images(), torch.arange(20) % 2, Stage("s", batch_size=8), (0,)).batch(0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_steps", 0),
        ("batch_size", 1),
        ("lr", -1.0),
        ("layer_decay", 0.0),
        ("margin", 2.5),
        ("shift", 1.0),
        ("degraded", 1.5),
        ("source", "slides"),
        ("loss", "contrast"),
        ("unfreeze", ()),
        ("unfreeze", ((0.5, 1.0),)),
        ("unfreeze", ((0.0, 0.0), (0.6, 0.5), (0.3, 1.0))),
    ],
)
def test_stages_check_their_fields(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(Stage("s"), **{field: value})


def test_stages_unfreeze_on_time() -> None:
    stage = Stage("s", n_steps=100, unfreeze=((0.0, 0.0), (0.3, 0.5), (0.6, 1.0)))
    assert [stage.unfrozen_share(step) for step in (0, 29, 30, 59, 60, 99)] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
