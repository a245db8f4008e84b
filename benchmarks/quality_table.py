"""The figures of the quality benchmark as Markdown: means over seeds, and what control changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.playing import Row
from benchmarks.quality_runs import FORMS
from benchmarks.reference_models import REFERENCE_MODELS
from benchmarks.statistics import Triple, mean_interval

METRICS = (
    "kid", "precision", "recall", "density", "coverage", "diversity", "memorisation",
    "stain_hematoxylin", "stain_eosin", "nuclei_count",
)  # fmt: skip
"""Columns, where the rows have them."""

Runs = Mapping[tuple[str, str], Sequence[Row]]
"""The runs of each model and form."""


def by_cell(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the runs of each model and form: models as the rows have them, forms as `FORMS`."""
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    models = list(dict.fromkeys(row["model"] for row in rows))
    for row in sorted(rows, key=lambda r: (models.index(r["model"]), [*FORMS].index(r["form"]), r["seed"])):
        cells[row["model"], row["form"]].append(row)
    return dict(cells)


def differences(cells: Runs, form: str, metric: str) -> list[float]:
    """Return a metric under a form minus that without control, of each model and seed that have both."""
    found = []
    for (model, name), runs in cells.items():
        without = {row["seed"]: row[metric] for row in cells.get((model, "uncontrolled"), ())}
        if name == form:
            pairs = [(row[metric], without.get(row["seed"])) for row in runs]
            found += [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
    return found


def to_table(rows: Sequence[Row]) -> str:
    """Return the tables: every model in every form, and the paired differences to no control."""
    cells, first = by_cell(rows), rows[0]
    metrics = [name for name in METRICS if name in first]
    seeds = len({row["seed"] for row in rows})
    lines = [
        f"## {first['data']}, {first['image_size']} px, {first['n_images']:,} images seen, {seeds} seeds",
        "",
        f"Means over seeds with Student's 95 % intervals; {first['n_real']} held-out and {first['n_fake']} "
        f"generated patches, {first['n_train']} trained on, extractor {first['extractor']}. Last model of "
        "every run; of one that diverged the last finite one. Lower is better for kid; memorisation expects "
        "0.05.",
        "",
        _line(["model", "form", *metrics, "diverged", "collapsed", "seconds"]),
        _line(["---"] * (len(metrics) + 5)),
    ]
    for (model, form), runs in cells.items():
        counts = [f"{sum(row[end] for row in runs)} of {len(runs)}" for end in ("diverged", "collapsed")]
        seconds = f"{sum(row['wall_s'] for row in runs) / len(runs):,.0f}"
        figures = [_figure([row[metric] for row in runs]) for metric in metrics]
        lines.append(_line([model, form, *figures, *counts, seconds]))
    lines += ["", *_paired(cells, metrics), *_meanings(cells)]
    return "\n".join(lines) + "\n"


def _paired(cells: Runs, metrics: Sequence[str]) -> list[str]:
    """Return what each form changes, over all models and seeds."""
    forms = [form for form in FORMS if form != "uncontrolled" and differences(cells, form, metrics[0])]
    if not forms:
        return []
    head = ["minus uncontrolled", "pairs", *metrics]
    lines = ["Same model, same seed:", "", _line(head), _line(["---"] * len(head))]
    for form in forms:
        pairs = {metric: differences(cells, form, metric) for metric in metrics}
        lines.append(
            _line([form, str(len(pairs[metrics[0]])), *(_figure(pairs[m], sign=True) for m in metrics)])
        )
    return [*lines, ""]


def _meanings(cells: Runs) -> list[str]:
    models = dict.fromkeys(model for model, _ in cells)
    return [f"- {name}: {REFERENCE_MODELS[name].meaning}" for name in models if name in REFERENCE_MODELS]


def _figure(values: Sequence[float | None], *, sign: bool = False) -> str:
    """Return mean and interval of the runs that have the figure; how many have not."""
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    plus = "+" if sign else ""
    return _shown(mean_interval(known), plus) + (
        f" ({len(values) - len(known)} without)" if len(known) < len(values) else ""
    )


def _shown(triple: Triple, plus: str) -> str:
    value, low, high = (f"{number:{plus}.3f}" for number in triple)
    return f"{value} [{low}, {high}]"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
