"""One self-contained page that shows a run to a person: verdict, pictures, curves, figures, settings."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from agents.pictures import draw_course, draw_knobs
from agents.report_style import STYLE
from agents.run_record import RunRecord, read_run
from agents.summary import METRIC_MEANINGS, figures, settings_line, write_text
from agents.verdict import Verdict, judge


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder: one file without network or scripts, for screen and for paper.

    Args:
        run: a run folder; what it lacks (an evaluation, samples, the end of the run) is named in the report.

    Returns:
        The path of the report.

    Raises:
        ValueError: if the folder is no run or cannot be written to.
    """
    record = read_run(run)
    verdict = judge(record)
    title = f"GAN run {record.name}"
    sections = [
        _verdict(record, verdict),
        _beside_real(record),
        _over_time(record),
        _curves(record),
        _metrics(record),
        _settings(record),
        _missing(record),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{''.join(filter(None, sections))}</main></body></html>\n"
    )
    return write_text(run / "report.html", page)


def _verdict(record: RunRecord, verdict: Verdict) -> str:
    """Say first what the reader came to know."""
    cautions = "".join(f"<p><strong>Caution:</strong> {escape(text)}</p>" for text in verdict.cautions)
    name = verdict.state.replace(" ", "-")
    key_figures = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in figures(record))
    return (
        f'<section class="verdict {name}"><h2>Verdict: {escape(verdict.state)}</h2>'
        f"<p>{escape(verdict.reason[0].upper() + verdict.reason[1:])}</p>{cautions}</section>\n"
        f"<dl>{key_figures}</dl>\n"
    )


def _beside_real(record: RunRecord) -> str:
    """Show the last samples beside real patches."""
    if not record.samples:
        return _section("Generated and real patches", "<p>This run holds no sample grids.</p>")
    n_images, last = record.samples[-1]
    pictures = [_picture(last, f"Generated patches after {n_images:,} images", "Generated")]
    if record.real is not None:
        pictures.append(_picture(record.real, "Real patches of the data", "Real"))
    return _section("Generated and real patches", _row(pictures))


def _over_time(record: RunRecord) -> str:
    """Show the same latents at the first, middle and last grid."""
    if len(record.samples) < 2:
        return ""
    chosen = sorted({0, len(record.samples) // 2, len(record.samples) - 1})
    pictures = [
        _picture(file, f"Samples of the fixed latents after {n_images:,} images", f"{n_images:,} images")
        for n_images, file in (record.samples[i] for i in chosen)
    ]
    return _section("The same latents as training went on", _row(pictures))


def _curves(record: RunRecord) -> str:
    """Show the course of the run, and what the controller did to it."""
    if not record.rows:
        return ""
    label = record.progress[0]
    course = _figure(
        _data(draw_course(record)),
        f"Four plots against {label}: losses of generator and discriminator, the discriminator's scores of "
        "real and generated patches, similarity statistics, and the sum of rewards",
        "Losses, scores, similarity and reward." + _marks(record),
    )
    if not record.knobs:
        return _section("Course", course + "<p>No knob was turned in this run.</p>")
    knobs = _figure(
        _data(draw_knobs(record)),
        f"Value of each knob ({', '.join(record.knobs)}) against {label}, over the controller's actions",
        "Knobs over the actions that turned them: 1 multiplies by the knob's largest factor, -1 divides.",
    )
    return _section("Course", course) + _section("What the controller did", knobs)


def _marks(record: RunRecord) -> str:
    """Explain the lines that stand where the run diverged."""
    if not len(record.went_back):
        return ""
    return " Dashed lines: the run diverged there, and went back to its last good state with smaller rates."


def _metrics(record: RunRecord) -> str:
    """Show the offline evaluation: value, interval, or the reason why there is none."""
    if record.evaluation is None:
        return _section("Evaluation", "<p>There is no evaluation yet; `gan-gym evaluate` makes one.</p>")
    rows = []
    for name, metric in record.evaluation.items():
        meaning = METRIC_MEANINGS.get(name, "")
        value = metric.get("value")
        if isinstance(value, int | float):
            ends = [metric.get(end) for end in ("low", "high")]
            interval = " to ".join(f"{end:.4g}" for end in ends if isinstance(end, int | float))
            cells = f'<td class="number">{value:.4g}</td><td class="number">{escape(interval)}</td>'
        else:
            cells = f'<td colspan="2">none: {escape(str(metric.get("reason") or "no reason recorded"))}</td>'
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td>{escape(meaning)}</td></tr>')
    head = "".join(f'<th scope="col">{text}</th>' for text in ("metric", "value", "95 % interval", "reads"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    note = settings_line(record)
    return _section("Evaluation", table + (f'<p class="note">{escape(note)}</p>' if note else ""))


def _settings(record: RunRecord) -> str:
    """Show how the run was made."""
    command = f"<pre>{escape(record.command)}</pre>" if record.command else "<p>Not recorded.</p>"
    return _section("Command", command) + _section("Configuration", f"<pre>{escape(record.config)}</pre>")


def _missing(record: RunRecord) -> str:
    """Name what the folder lacks."""
    if not record.missing:
        return ""
    return _section("Not in this run", f"<ul>{''.join(f'<li>{escape(m)}</li>' for m in record.missing)}</ul>")


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n"


def _row(pictures: Sequence[str]) -> str:
    return f'<div class="row">{"".join(pictures)}</div>'


def _picture(file: Path, alt: str, caption: str) -> str:
    """Embed a grid of patches, enlarged without smoothing where it is small."""
    with Image.open(file) as image:
        width, height = image.size
    size = f' width="{width}" height="{height}" class="patches"'
    return _figure(_data(file.read_bytes()), alt, caption, size)


def _figure(source: str, alt: str, caption: str, attributes: str = "") -> str:
    return (
        f'<figure><img src="{source}" alt="{escape(alt)}"{attributes}>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
