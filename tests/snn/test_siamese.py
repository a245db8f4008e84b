from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from snn import SiameseNet, embed_images, load_default, to_float
from snn.storage import shipped_names


@pytest.fixture(scope="module")
def model() -> SiameseNet:
    return SiameseNet(pretrained=False, depth=2, embedding_dim=16, seed=5)


def _images(n: int = 6, height: int = 32, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, height, width), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("size", [(8, 8), (8, 13), (32, 32), (50, 40)])
def test_any_size_is_embedded_on_the_unit_sphere(model: SiameseNet, size: tuple[int, int]) -> None:
    embedding = model(to_float(_images(4, *size)))
    assert embedding.shape == (4, 16)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))


def test_similarity_is_symmetric_bounded_and_one_with_itself(model: SiameseNet) -> None:
    x = to_float(_images(6))
    a, b = x[:3], x[3:]
    similarity = model.similarity(a, b)
    torch.testing.assert_close(similarity, model.similarity(b, a))
    assert bool(((similarity >= 0) & (similarity <= 1)).all())
    torch.testing.assert_close(model.similarity(a, a), torch.ones(3))


def test_batches_do_not_change_embeddings(model: SiameseNet) -> None:
    images = _images(7)
    torch.testing.assert_close(embed_images(model, images, batch_size=3), embed_images(model, images))


@pytest.mark.parametrize("bad", [torch.zeros(1, 1, 32, 32), torch.zeros(1, 3, 7, 32), _images(1)])
def test_what_is_no_image_is_refused(model: SiameseNet, bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"float tensor \(N, 3, H, W\)"):
        model(bad)
    with pytest.raises(TypeError, match="uint8"):
        to_float(torch.zeros(2))


def test_saved_and_loaded_networks_are_equal(model: SiameseNet, tmp_path: Path) -> None:
    model.save(tmp_path / "a" / "b", provenance={"data": "noise"})
    loaded = SiameseNet.load(tmp_path / "a" / "b")
    x = to_float(_images())
    assert torch.equal(loaded(x), model(x))
    assert loaded.config == model.config
    assert loaded.provenance == {"data": "noise"}
    model.save(tmp_path / "half", dtype=torch.float16)
    half = SiameseNet.load(tmp_path / "half")
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    torch.testing.assert_close(half(x), model(x), rtol=1e-2, atol=1e-2)


def test_damaged_and_foreign_models_are_refused(model: SiameseNet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no fitted Siamese network \(model.json is missing\)"):
        SiameseNet.load(tmp_path)
    model.save(tmp_path)
    weights, description = tmp_path / "model.safetensors", tmp_path / "model.json"
    intact, text = weights.read_bytes(), description.read_text()

    weights.write_bytes(intact[:-4] + b"\x00\x00\x00\x01")
    with pytest.raises(ValueError, match="it is damaged or changed"):
        SiameseNet.load(tmp_path)
    weights.write_bytes(intact)

    description.write_text(json.dumps({**json.loads(text), "version": 99}))
    with pytest.raises(ValueError, match=r"version 99; this package reads"):
        SiameseNet.load(tmp_path)
    changed = json.loads(text)
    changed["config"]["embedding_dim"] = 8
    description.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"do not fit the network"):
        SiameseNet.load(tmp_path)
    changed = json.loads(text)
    changed["config"]["backbone"] = "resnet10t"
    description.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"do not fit the network that model.json describes") as caught:
        SiameseNet.load(tmp_path)
    assert "\n" not in str(caught.value)
    for key, value in (
        ("backbone", "resnet10x"),
        ("backbone", 3),
        ("depth", "two"),
        ("depth", 99),
        ("min_size", "small"),
        ("embedding_dim", 1),
        ("embedding_dim", 2.5),
        ("colour", True),
    ):
        changed = json.loads(text)
        changed["config"][key] = value
        description.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=re.escape(str(tmp_path))) as caught:
            SiameseNet.load(tmp_path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 600
    description.write_text("{")
    with pytest.raises(ValueError, match="is no description"):
        SiameseNet.load(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match=r"model.safetensors is missing"):
        SiameseNet.load(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(model: SiameseNet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write the model to"):
        model.save(tmp_path / "file" / "model")


def test_construction_follows_the_seed_and_leaves_the_global_state(no_gpu_seeds: None) -> None:
    state = torch.get_rng_state()
    heads = [SiameseNet(pretrained=False, depth=1, seed=seed).head[1].weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("name", ["tissue", "digits"])
def test_shipped_models_load_and_say_where_they_come_from(name: str) -> None:
    assert name in shipped_names()
    model = SiameseNet.load(name)
    assert f"shipped_models {name}" in model.provenance["command"]
    assert model.provenance["held_out"]["instance_auc"] > 0.6
    folder = Path("snn/pretrained", name)
    assert (Path(__file__).parents[2] / folder / "model.safetensors").stat().st_size < 1_500_000


def test_the_default_is_the_tissue_model() -> None:
    x = to_float(_images(2))
    assert torch.equal(load_default()(x), SiameseNet.load("tissue")(x))


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="embedding_dim=1"):
        SiameseNet(embedding_dim=1)
    with pytest.raises(ValueError, match="min_size=4"):
        SiameseNet(min_size=4)
