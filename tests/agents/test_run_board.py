"""TensorBoard's tabs for the end of a run are filled from the run's own folder, once."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from torch.nn.functional import interpolate

import agents.run_board
from agents.run_board import FINAL, write_end, write_projector
from agents.run_folder import read_config
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import to_float, to_uint8
from snn.siamese import SiameseNet, embed_images


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0, "images": 0}).Reload()


def test_the_options_and_final_figures_fill_the_hparams_tab(run: Path) -> None:
    content = events(run).summary_metadata
    start, about = (
        content[tag].plugin_data for tag in (metadata.SESSION_START_INFO_TAG, metadata.EXPERIMENT_TAG)
    )
    assert {start.plugin_name, about.plugin_name} == {metadata.PLUGIN_NAME}
    options = metadata.parse_session_start_info_plugin_data(start.content).hparams
    config = read_config(str(run))
    assert options["batch_size"].number_value == config.batch_size == 8
    assert options["controller"].string_value == "cosine"
    assert options["evaluate"].string_value == "False"
    experiment = metadata.parse_experiment_plugin_data(about.content)
    assert {info.name for info in experiment.hparam_infos} == set(options)
    tags = {info.name.tag for info in experiment.metric_infos}
    assert tags == set(FINAL)
    assert tags <= set(events(run).Tags()["scalars"])
    assert metadata.SESSION_END_INFO_TAG in content


def test_writing_the_end_again_replaces_it(run: Path) -> None:
    figures = {"kid": {"value": 0.5, "low": 0.4, "high": 0.6}, "fid": {"value": None, "reason": "few"}}
    (run / "evaluation.json").write_text(json.dumps(figures))
    before = {tag: events(run).Scalars(tag) for tag in events(run).Tags()["scalars"]}
    for _ in range(2):
        write_end(run)
    found = events(run)
    assert [(event.step, event.value) for event in found.Scalars("evaluation/kid")] == [(160, 0.5)]
    assert "evaluation/fid" not in found.Tags()["scalars"]
    assert {tag: found.Scalars(tag) for tag in before} == before
    assert len(list(run.glob("events.*.end"))) == 1
    assert not [path for path in run.iterdir() if path.is_dir() and list(path.glob("events.*"))]


def test_real_patches_and_samples_are_shown_as_pictures(run: Path) -> None:
    found = events(run)
    (real,) = found.Images("real")
    assert real.step == 0
    with (
        Image.open(io.BytesIO(real.encoded_image_string)) as shown,
        Image.open(run / "samples/real.png") as kept,
    ):
        difference = np.asarray(shown, float) - np.asarray(kept, float)[::4, ::4]  # enlarged by four there
    assert np.abs(difference).mean() < 20  # of 255; JPEG halves the resolution of colours
    shown = {int(file.stem) for file in (run / "samples").glob("0*.png")}
    assert {event.step for event in found.Images("samples")} == shown


def test_the_projector_shows_what_the_reward_model_sees(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.run_board, "N_EMBEDDED", 3)
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (5, 3, 16, 24), generator=rng, dtype=torch.uint8)
    fakes = torch.randint(256, (4, 3, 16, 24), generator=rng, dtype=torch.uint8)
    patches = PatchSet(images, torch.tensor([0, 1, 1, 0, 1]), torch.arange(5), ("stroma", "tumour"))
    write_projector(run, patches, fakes)
    shown = torch.cat([images[[0, 2, 4]], fakes])
    points = np.loadtxt(run / "projector" / "tensors.tsv", delimiter="\t")
    expected = embed_images(SiameseNet.load(run / "snn"), shown)
    np.testing.assert_allclose(points, expected.numpy(), atol=1e-5)
    head, *labels = (run / "projector" / "metadata.tsv").read_text().splitlines()
    assert head.split("\t") == ["kind", "class"]
    assert labels == ["real\tstroma", "real\ttumour", "real\ttumour", *["generated\tgenerated"] * 4]
    with Image.open(run / "projector" / "sprite.png") as sprite:
        assert sprite.size == (96, 96)
        tile = np.asarray(sprite)[32:64, :32]
    small = to_uint8(interpolate(to_float(shown[3:4]), (32, 32), mode="area"))[0]
    np.testing.assert_array_equal(tile, small.permute(1, 2, 0).numpy())


def test_tensorboard_finds_the_projector(run: Path) -> None:
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    config = text_format.Parse((run / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    for path in (embedding.tensor_path, embedding.metadata_path, embedding.sprite.image_path):
        assert (run / path).is_file()
    assert len((run / embedding.tensor_path).read_text().splitlines()) > 8
