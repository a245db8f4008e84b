"""The report is whole, self-contained and escaped, and names what a run lacks."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from agents.pictures import draw_reward
from agents.report import write_report
from agents.run_record import read_run
from agents.summary import METRIC_MEANINGS, write_summary
from gan_gym.metrics import METRICS

WriteRun = Callable[..., Path]


class Page(HTMLParser):
    """Checks that elements nest, and collects tags, pictures and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))
        elif tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_report_holds_everything_in_one_file_without_network_or_scripts(tmp_path: Path, write_run: WriteRun):
    path = write_report(write_run(tmp_path / "run"))
    assert path == tmp_path / "run" / "report.html"
    text = path.read_text("utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert not re.search(r"(https?:)?//", re.sub(r"base64,[^\"]+", "", text))
    assert len(page.pictures) == 2 + 1 + 3 + 1
    for picture in page.pictures:
        assert picture["alt"]
        with Image.open(io.BytesIO(base64.b64decode(picture["src"].partition("base64,")[2]))) as image:
            image.load()
    assert "Verdict: healthy" in page.text
    assert "gan-gym train --data patches --out run & <b>" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "0.0123" in page.text
    assert "0.01 to 0.015" in page.text
    assert "got <500>" in page.text
    assert "tf_efficientnet_lite2" in page.text
    assert "sb3-contrib" in page.text
    assert any("distances 0.00, 0.31, 0.50" in str(picture["alt"]) for picture in page.pictures)
    assert "Not in this run" not in page.text


def test_figures_are_files_too_and_the_report_embeds_the_same(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    text = write_report(run).read_text("utf-8")
    names = {"reward", "losses", "knobs", "progress", "generated_and_real"}
    assert {file.stem for file in (run / "figures").iterdir()} == names
    for name in names - {"generated_and_real"}:  # there the report puts two pictures side by side
        png = (run / "figures" / f"{name}.png").read_bytes()
        assert base64.b64encode(png).decode() in text


def test_metrics_nobody_knew_of_are_shown(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    new = {"new_metric": {"value": 0.4321, "low": 0.4, "high": 0.5}}
    (run / "evaluation.json").write_text(json.dumps(new))
    assert "new_metric" in (page := Page(write_report(run).read_text("utf-8"))).text
    assert "0.4321" in page.text
    assert "| new_metric | 0.4321 | 0.4 to 0.5 |" in write_summary(run).read_text("utf-8")


def test_the_summary_tells_what_the_report_shows(tmp_path: Path, write_run: WriteRun):
    text = write_summary(write_run(tmp_path / "run")).read_text("utf-8")
    assert "| instance_noise | 0 | 0 | 0.04 | 0.04 | 1 | 0 |" in text
    assert "| 1,600 | 0.071 |" in text
    assert "| torch | 2.9 |" in text
    assert "    gan-gym train --data patches" in text
    assert "](samples/memorisation.png)" in text


def test_report_and_summary_are_functions_of_the_folder(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    first = write_report(run).read_bytes(), write_summary(run).read_bytes()
    assert first == (write_report(run).read_bytes(), write_summary(run).read_bytes())
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("kind", ["collapsing", "diverged"])
def test_a_reader_can_tell_a_bad_run(tmp_path: Path, write_run: WriteRun, kind: str):
    run = write_run(tmp_path / "run", kind)
    assert f"Verdict: {kind}" in Page(write_report(run).read_text("utf-8")).text
    assert f"**{kind.capitalize()}: " in write_summary(run).read_text("utf-8")


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("metrics.jsonl", "No env step was finished"),
        ("samples", "No sample grids"),
        ("samples/real.png", "No picture of real patches"),
        ("evaluation.json", "Not evaluated yet"),
        ("command.txt", "The command was not recorded"),
        ("env.json", "Versions and device were not recorded"),
        ("samples/memorisation.png", "No sheet of the closest pairs"),
    ],
)
def test_missing_pieces_are_named(tmp_path: Path, write_run: WriteRun, lost: str, words: str):
    run = write_run(tmp_path / "run")
    target = run / lost
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert words in Page(write_report(run).read_text("utf-8")).text
    assert words in write_summary(run).read_text("utf-8")


def test_damaged_pieces_are_named_and_left_out(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"env_step": 41, "n_im')
    (run / "samples" / "000070000.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (run / "evaluation.json").write_text("[1, 2")
    page = Page(write_report(run).read_text("utf-8"))
    assert "Unreadable lines of metrics.jsonl, left out: 1." in page.text
    assert "evaluation.json is not readable" in page.text
    assert "64,000" in page.text
    assert "70,000" not in page.text


def test_a_run_of_one_step_without_actions_or_images_seen(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"env_step": 1, "g_loss": 0.5}\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = Page(write_report(run).read_text("utf-8"))
    assert "not enough evidence" in page.text
    assert "No knob was turned" in page.text


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "other").mkdir()
    for folder, words in ((tmp_path / "nope", "does not exist"), (tmp_path / "other", "no config.yaml")):
        for write in (write_report, write_summary):
            with pytest.raises(ValueError, match=words) as caught:
                write(folder)
            assert "\n" not in str(caught.value)
            assert "gan-gym train" in str(caught.value)
    assert list((tmp_path / "other").iterdir()) == []


def test_every_metric_of_the_evaluation_is_explained():
    assert tuple(METRIC_MEANINGS) == METRICS


def test_summary_tells_the_figures(tmp_path: Path, write_run: WriteRun):
    text = write_summary(write_run(tmp_path / "run")).read_text("utf-8")
    assert "| images seen | 64,000 |" in text
    assert "| ended | budget used up |" in text
    assert "| kid | 0.0123 | 0.01 to 0.015 |" in text
    assert "| fid | none | FID needs at least 2,048 images a side; got &lt;500> |" in text


@pytest.mark.parametrize("ends", [False, True])
def test_going_back_is_counted_explained_and_drawn(tmp_path: Path, write_run: WriteRun, ends: bool):
    run = write_run(tmp_path / "run", "diverged" if ends else "healthy")
    plain = draw_reward(read_run(run))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for i in (9, 19, *([len(rows) - 1] if ends else [])):
        rows[i] |= {"diverged": True, "end": "diverged"}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_run(run).went_back.tolist() == [9, 19]
    assert draw_reward(read_run(run)) != plain
    assert "| went back | 2 times, as it had diverged |" in write_summary(run).read_text("utf-8")
    page = write_report(run).read_text("utf-8")
    assert "Dashed lines: the run diverged there" in page


def test_a_run_that_never_diverged_says_nothing_of_going_back(tmp_path: Path, write_run: WriteRun):
    run = write_run(tmp_path / "run")
    assert "went back" not in write_report(run).read_text("utf-8") + write_summary(run).read_text("utf-8")
