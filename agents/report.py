"""One self-contained page that shows a run to a person: verdict, pictures, curves, figures, settings."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from agents.course import knob_moves, moments
from agents.figures import draw_figures, write_figures
from agents.report_style import MARKS, STYLE
from agents.run_record import RunRecord, read_run
from agents.sheets import distances
from agents.summary import (
    CLOSEST_TEXT,
    COURSE_TEXT,
    EVALUATION_TEXT,
    METRIC_MEANINGS,
    environment,
    figures,
    metric_cells,
    settings_line,
    write_text,
)
from agents.verdict import STATES, Verdict, judge

Drawn = Mapping[str, bytes]


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder, and its figures as PNG files into `figures/`.

    The report is one file without network or scripts, for screen and for paper.

    Args:
        run: a run folder; what it lacks (an evaluation, samples, the end of the run) is named in the report.

    Returns:
        The path of the report.

    Raises:
        ValueError: if the folder is no run or cannot be written to.
    """
    record = read_run(run)
    drawn = draw_figures(record)
    write_figures(run, drawn)
    verdict = judge(record)
    title = f"GAN run {record.name}"
    sections = [
        _verdict(record, verdict),
        _beside_real(record),
        _over_time(record, drawn),
        _course(record, drawn),
        _control(record, drawn),
        _metrics(record),
        _closest(record),
        _settings(record),
        _missing(record),
        _verdicts(),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}: {escape(verdict.state)}</title><style>{STYLE}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{''.join(filter(None, sections))}</main></body></html>\n"
    )
    return write_text(run / "report.html", page)


def _verdict(record: RunRecord, verdict: Verdict) -> str:
    """Say first what the reader came to know."""
    cautions = "".join(f"<p><strong>Caution:</strong> {_prose(_capital(c))}</p>" for c in verdict.cautions)
    name = verdict.state.replace(" ", "-")
    key_figures = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in figures(record))
    return (
        f'<section class="verdict {name}"><h2><span class="mark" aria-hidden="true">{MARKS[verdict.state]}'
        f"</span>Verdict: {escape(verdict.state)}</h2>"
        f'<p class="meaning">{escape(_capital(STATES[verdict.state]))}.</p>'
        f"<p>{_prose(_capital(verdict.reason))}</p>"
        f"<p><strong>What to do:</strong> {_prose(verdict.advice)}</p>{cautions}</section>\n"
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


def _over_time(record: RunRecord, drawn: Drawn) -> str:
    """Follow the same latents through the run."""
    if "progress" not in drawn:
        return ""
    picture = _figure(
        _data(drawn["progress"]),
        "Samples of the same latents at moments of the run: one row a moment, one column a latent",
        "Each column is one latent, each row a moment of the run; on the left the images seen by then.",
        ' class="patches progress"',
    )
    return _section("The same latents as training went on", picture)


def _course(record: RunRecord, drawn: Drawn) -> str:
    """Show the course of the run."""
    if not record.rows:
        return ""
    label = record.progress[0]
    content = _curves(
        drawn["reward"],
        f"Similarity statistics and the sum of rewards against {label}; some of their values stand below",
        "Quality joins fidelity (generated patches look real), coverage (all kinds of real patches occur) "
        "and kernel (in the right proportions); diversity compares generated with real variety.",
    ) + _curves(
        drawn["losses"],
        f"Losses of both networks and the discriminator's mean scores against {label}",
        "Losses and scores of the two networks." + _marks(record),
    )
    return _section("Course", f"<p>{escape(COURSE_TEXT)}</p>{content}{_table(*moments(record))}")


def _control(record: RunRecord, drawn: Drawn) -> str:
    """Show what the controller did over the same axis."""
    if not record.rows:
        return ""
    if "knobs" not in drawn:
        return _section("What the controller did", "<p>No knob was turned in this run.</p>")
    knobs = _curves(
        drawn["knobs"],
        f"Value of each knob ({', '.join(record.knobs)}) against {record.progress[0]}, over the controller's "
        "actions; the table below gives their range",
        "Knobs over the actions that turned them: 1 multiplies by the knob's largest factor, -1 divides; "
        "at a limit nothing changes.",
    )
    return _section("What the controller did", knobs + _table(*knob_moves(record)))


def _marks(record: RunRecord) -> str:
    """Explain the lines that stand where the run diverged."""
    if not len(record.went_back):
        return ""
    return " Dashed lines: the run diverged there, and went back to its last good state with smaller rates."


def _metrics(record: RunRecord) -> str:
    """Show the offline evaluation: value, interval, or the reason why there is none."""
    if record.evaluation is None:
        return _section(
            "Evaluation", "<p>There is no evaluation yet; <code>gan-gym evaluate</code> makes one.</p>"
        )
    rows = []
    for name, metric in record.evaluation.items():
        value, interval = metric_cells(metric)
        cells = f'<td class="number">{escape(value)}</td><td class="number">{escape(interval)}</td>'
        if metric.get("value") is None:
            cells = f'<td colspan="2">none: {escape(interval)}</td>'
        meaning = METRIC_MEANINGS.get(name, "")
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}<td>{escape(meaning)}</td></tr>')
    head = "".join(f'<th scope="col">{text}</th>' for text in ("metric", "value", "95 % interval", "reads"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    note = settings_line(record)
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return _section("Evaluation", f"<p>{escape(EVALUATION_TEXT)}</p>{_wide(table)}{said}")


def _closest(record: RunRecord) -> str:
    """Show the generated patches that lie nearest to a training patch."""
    if record.closest is None:
        return ""
    known = distances(record.closest)
    alt = "Pairs of a generated patch and its nearest training patch" + (
        f"; distances {known}" if known else ""
    )
    return _section("Closest pairs", _picture(record.closest, alt, f"{CLOSEST_TEXT}.", " progress"))


def _settings(record: RunRecord) -> str:
    """Show how the run was made."""
    command = f"<pre>{escape(record.command)}</pre>" if record.command else "<p>Not recorded.</p>"
    machine = "<p>Not recorded.</p>"
    if record.environment is not None:
        machine = _table(("what", "value"), environment(record))
    return (
        _section("Command", command)
        + _section("Environment", machine)
        + _section("Configuration", f"<pre>{escape(record.config)}</pre>")
    )


def _verdicts() -> str:
    """Explain all verdicts, for a reader who sees one report only."""
    items = "".join(
        f"<li><strong>{escape(state)}</strong>: {escape(text)}.</li>" for state, text in STATES.items()
    )
    return _section("What a verdict can be", f'<ul class="note">{items}</ul>')


def _missing(record: RunRecord) -> str:
    """Name what the folder lacks."""
    if not record.missing:
        return ""
    return _section("Not in this run", f"<ul>{''.join(f'<li>{_prose(m)}</li>' for m in record.missing)}</ul>")


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>\n"


def _row(pictures: Sequence[str]) -> str:
    return f'<div class="row">{"".join(pictures)}</div>'


def _wide(table: str) -> str:
    """Let a table scroll by itself where the page is narrower."""
    return f'<div class="wide" tabindex="0">{table}</div>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table whose first column names its rows."""
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f'<td class="number">{escape(cell)}</td>' for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return _wide(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")


def _picture(file: Path, alt: str, caption: str, kind: str = "") -> str:
    """Embed a grid of patches, enlarged without smoothing where it is small and no text is in it."""
    with Image.open(file) as image:
        width, height = image.size
    size = f' width="{width}" height="{height}" class="patches{kind}"'
    return _figure(_data(file.read_bytes()), alt, caption, size)


def _curves(png: bytes, alt: str, caption: str) -> str:
    """Embed curves, which scroll by themselves where they would be too small to read."""
    image = f'<div class="curves" tabindex="0"><img src="{_data(png)}" alt="{escape(alt)}"></div>'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _figure(source: str, alt: str, caption: str, attributes: str = "") -> str:
    return (
        f'<figure><img src="{source}" alt="{escape(alt)}"{attributes}>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _prose(text: str) -> str:
    """Escape a text, and set what stands in backticks as code."""
    return re.sub(r"`([^`<]+)`", r"<code>\1</code>", escape(text))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
