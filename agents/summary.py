"""The run in text: verdict, key figures, evaluation, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from agents.course import knob_moves, moments
from agents.run_record import RunRecord, read_run
from agents.verdict import judge

METRIC_MEANINGS = {
    "kid": "distance of the distributions, lower is better, 0 = alike",
    "fid": "distance of the distributions, lower is better; compare at equal n only",
    "precision": "share of generated patches that look real",
    "recall": "share of real patches that the generator can reach",
    "density": "how densely generated patches lie among real ones, 1 = as real ones do",
    "coverage": "share of real patches with a generated one nearby",
    "memorisation": "share of generated patches suspiciously near a training patch, 0.05 expected",
    "diversity": "how far generated patches lie apart, 1 = as far as real ones",
    "path_length": "how abruptly patches change between latents, lower is smoother; equal settings only",
    "stain_hematoxylin": "distance of the haematoxylin densities in real standard deviations, 0 = alike",
    "stain_eosin": "distance of the eosin densities in real standard deviations, 0 = alike",
    "nuclei_count": "distance of the nuclei per patch in real standard deviations, 0 = alike",
    "nuclei_area": "distance of the nuclei's sizes in real standard deviations, 0 = alike",
    "downstream_synthetic": "balanced accuracy on real patches of a classifier trained on generated ones",
    "downstream_real": "the same, trained on real patches: what downstream_synthetic is to reach",
    "downstream_both": "the same, trained on both: above downstream_real, generated patches help",
}
"""How to read each metric."""
COURSE_TEXT = (
    "Quality, fidelity, coverage and diversity are measured by this run's own reward model: 0 = noise, "
    "1 = like unseen real patches. Compare them within the run only: another reward model is another ruler."
)
"""What the figures of the course are."""
EVALUATION_TEXT = (
    "Measured by another network, which no reward uses, on patches kept from training: these are the figures "
    "to report."
)
"""What the figures of the evaluation are."""
CLOSEST_TEXT = (
    "The generated patches that lie nearest to a training patch (left), beside it (right), the closest pair "
    "first. Under each pair: its distance, 0 = an exact copy, below 0.25 = a near copy, 1 = as far as unseen "
    "real patches typically are"
)
"""What the sheet of the closest pairs shows."""
_ENDS = {
    "budget": "budget used up",
    "diverged": "diverged",
    "collapsed": "collapsed",
}


def write_summary(run: Path) -> Path:
    """Write `summary.md` into a run folder, from what the folder holds: the report in text.

    Raises:
        ValueError: if the folder is no run or cannot be written to.
    """
    record = read_run(run)
    verdict = judge(record)
    lines = [f"# GAN run {_plain(record.name)}", "", f"**{verdict}**", ""]
    lines += [line for caution in verdict.cautions for line in (f"Caution: {caution}", "")]
    lines += _table(("figure", "value"), figures(record))
    lines += _pictures(record)
    if record.rows:
        lines += ["## Course", "", COURSE_TEXT, "", *_table(*moments(record))]
    if record.knobs:
        lines += ["## What the controller did", "", *_table(*knob_moves(record))]
    if record.evaluation is not None:
        rows = [
            (name, *metric_cells(m), METRIC_MEANINGS.get(name, "")) for name, m in record.evaluation.items()
        ]
        lines += ["## Evaluation", "", EVALUATION_TEXT, ""]
        lines += _table(("metric", "value", "95 % interval", "reads"), rows)
        lines += [_plain(settings_line(record)), ""]
    if record.environment is not None:
        lines += ["## Environment", "", *_table(("what", "value"), environment(record))]
    if record.command:
        lines += ["## Command", "", *(f"    {line}" for line in record.command.splitlines()), ""]
    if record.missing:
        lines += ["## Not in this run", "", *(f"- {text}" for text in record.missing), ""]
    return write_text(run / "summary.md", "\n".join(lines).rstrip() + "\n")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table and an empty one."""
    body = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body, ""]


def _pictures(record: RunRecord) -> list[str]:
    """Show the pictures of the run's folder, with their texts."""
    shown = []
    if record.samples:
        n_images, file = record.samples[-1]
        shown.append((f"Generated patches after {n_images:,} images", file))
    shown += [("Real patches", record.real)] if record.real else []
    shown += [(CLOSEST_TEXT, record.closest)] if record.closest else []
    lines = [line for text, file in shown for line in (f"![{text}](samples/{file.name})", "")]
    return ["## Pictures", "", *lines] if shown else []


def metric_cells(metric: Mapping[str, object]) -> tuple[str, str]:
    """Return a metric's value and interval as text; without a value, `none` and the reason."""
    value, low, high = (metric.get(key) for key in ("value", "low", "high"))
    if not isinstance(value, int | float):
        return "none", str(metric.get("reason") or "no reason recorded")
    both = isinstance(low, int | float) and isinstance(high, int | float)
    return f"{value:.4g}", f"{low:.4g} to {high:.4g}" if both else ""


def environment(record: RunRecord) -> list[tuple[str, str]]:
    """Return what is known of the machine and the versions, name and value."""
    found: list[tuple[str, str]] = []
    for key, value in (record.environment or {}).items():
        if isinstance(value, dict):
            found += [(str(name), str(v or "not installed")) for name, v in value.items()]
        elif isinstance(value, list):
            found.append((key, ", ".join(map(str, value)) or "none"))
        else:
            found.append((key, str(value)))
    return found


def figures(record: RunRecord) -> list[tuple[str, str]]:
    """Return the key figures, name and value, of what is recorded."""
    if not record.rows:
        return [("env steps", "0")]
    found = [("env steps", f"{len(record.rows):,}")]
    images = record.series("n_images")
    if np.isfinite(images[-1]):
        found.append(("images seen", f"{images[-1]:,.0f}"))
    found.append(("ended", _ENDS.get(record.end, record.end or "not recorded")))
    if n := len(record.went_back):
        found.append(("went back", f"{n} time{'s' * (n > 1)}, as it had diverged"))
    quality = record.series("quality")
    if np.isfinite(quality).any():
        found.append(("best quality", f"{np.nanmax(quality):.3f}"))
    for key in ("quality", "fidelity", "coverage", "diversity", "kernel", "g_loss", "d_loss"):
        value = record.series(key)[-1]
        if np.isfinite(value):
            found.append((f"final {key}", f"{value:.3f}"))
    return found


def settings_line(record: RunRecord) -> str:
    """Say what the evaluation was computed from, or nothing where it does not say."""
    labels = {
        "n_real": "real images", "n_fake": "generated images", "n_train": "training images",
        "image_size": "size", "extractor": "extractor", "sha256": "weights sha256", "resize": "resize",
        "seed": "seed", "split": "split",
    }  # fmt: skip
    metric = next(iter((record.evaluation or {}).values()), {})
    parts = [f"{label} {metric[key]}" for key, label in labels.items() if metric.get(key) is not None]
    return f"Computed from: {'; '.join(parts)}." if parts else ""


def write_text(file: Path, text: str) -> Path:
    """Write a file whole, by rename.

    Raises:
        ValueError: if the folder cannot be written to.
    """
    temporary = file.with_name(f".{file.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ValueError(
            f"cannot write '{file}': {error.strerror}; check the permissions of the folder and the free space"
        ) from error
    return file


def _plain(text: str) -> str:
    """Keep a text within one cell of a Markdown table, and free of HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
