"""The figures of the quality benchmark as Markdown: means over seeds, and what control changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.playing import Row
from benchmarks.quality_runs import FORMS
from benchmarks.reference_models import REFERENCE_MODELS
from benchmarks.statistics import Triple, mean, mean_interval

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


def differences(cells: Runs, form: str, metric: str) -> dict[str, list[float]]:
    """Return a metric under a form minus that without control, by model, for each seed that has both."""
    found = {}
    for (model, name), runs in cells.items():
        without = {row["seed"]: row[metric] for row in cells.get((model, "uncontrolled"), ())}
        pairs = [(row[metric], without.get(row["seed"])) for row in runs] if name == form else []
        of_seeds = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
        if of_seeds:
            found[model] = of_seeds
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
    """Return what each form changes.

    Runs of one model are no independent witnesses of what a form does to GANs: the interval is over models,
    each by the mean of its seeds, or, where there is but one, over its seeds.
    """
    forms = [form for form in FORMS if form != "uncontrolled" and differences(cells, form, metrics[0])]
    if not forms:
        return []
    head = ["minus uncontrolled", "models", *metrics]
    lines = [
        "Same model, same seed; intervals over models, or over the seeds of a single one:",
        "",
        _line(head),
        _line(["---"] * len(head)),
    ]
    for form in forms:
        n_models = len(differences(cells, form, metrics[0]))
        figures = [_figure(_witnesses(differences(cells, form, m)), sign=True) for m in metrics]
        lines.append(_line([form, str(n_models), *figures]))
    return [*lines, ""]


def _witnesses(of: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the mean of each model, or the values of the only one."""
    values = list(of.values())
    return list(values[0]) if len(values) == 1 else [float(mean(np.array(own))) for own in values]


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
