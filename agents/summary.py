"""The run in text: verdict, key figures, evaluation, and what is missing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

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
_ENDS = {
    "budget": "budget used up",
    "diverged": "diverged",
    "collapsed": "collapsed",
}


def write_summary(run: Path) -> Path:
    """Write `summary.md` into a run folder, from what the folder holds.

    Raises:
        ValueError: if the folder is no run or cannot be written to.
    """
    record = read_run(run)
    verdict = judge(record)
    lines = [f"# GAN run {_plain(record.name)}", "", f"**{verdict}**", ""]
    lines += [line for caution in verdict.cautions for line in (f"Caution: {caution}", "")]
    lines += [
        "| figure | value |",
        "|---|---|",
        *(f"| {key} | {_plain(v)} |" for key, v in figures(record)),
        "",
    ]
    if record.evaluation is not None:
        lines += ["## Evaluation", "", "| metric | value | 95 % interval | reads |", "|---|---|---|---|"]
        for name, metric in record.evaluation.items():
            value, low, high = (metric.get(key) for key in ("value", "low", "high"))
            shown = f"{value:.4g}" if isinstance(value, int | float) else "none"
            both = isinstance(low, int | float) and isinstance(high, int | float)
            interval = f"{low:.4g} to {high:.4g}" if both else _plain(str(metric.get("reason") or ""))
            lines.append(f"| {_plain(name)} | {shown} | {interval} | {METRIC_MEANINGS.get(name, '')} |")
        lines += ["", _plain(settings_line(record)), ""]
    if record.missing:
        lines += ["## Not in this run", "", *(f"- {text}" for text in record.missing), ""]
    return write_text(run / "summary.md", "\n".join(lines).rstrip() + "\n")


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
    found += [(f"final {knob}", f"{record.series(knob)[-1]:.3g}") for knob in record.knobs]
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
