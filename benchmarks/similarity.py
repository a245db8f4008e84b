"""Does the Siamese network measure what matters? Verification and disturbances, beside the alternatives.

    python -m benchmarks.similarity --data PATCHES SLIDES --out DIR

Every model is fitted on one side of a split by slide or patient and measured on the other, seed by seed.
Writes `results.jsonl` (one row a model and seed; what an interrupted call has finished is not repeated),
`similarity.json`, `table.md` and `plot.png`. The embedded tissue is always among the sets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.disturbances import DISTURBANCES, damage_views, disturbance_curves
from benchmarks.similarity_models import MODELS
from benchmarks.similarity_pictures import plot
from benchmarks.similarity_sets import EMBEDDED, Split, load_set, split_set
from benchmarks.statistics import mean_interval
from gan_gym.data.patches import PatchSet
from gan_gym.names import lookup
from snn import ReferenceStatistics, embed_images, evaluate

FIGURES = ("auc", "eer", "recall1", "class_auc")
"""Figures of verification: two views of one patch against others; the last, two patches of one class."""
N_TRAIN, N_TEST = 1000, 1500
"""Patches a side, at most."""
MAX_FAKES = 256
"""Most patches that are damaged."""
N_FAKES = 128
"""Images scored at a time, as in the environment."""
QUICK = {"seeds": 1, "n_train": 200, "n_test": 240}

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    out = Path(options.out)
    try:
        for name in options.models:
            lookup(MODELS, name, "model")
        sets = {Path(name).name: load_set(name, options.image_size) for name in [*options.data, EMBEDDED]}
        rows = run(options, sets, out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    summary = summarise(rows)
    (out / "similarity.json").write_text(json.dumps(summary, indent=1) + "\n")
    table = to_table(summary)
    (out / "table.md").write_text(table)
    plot(rows, summary, out / "plot.png")
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.similarity", description=__doc__)
    parser.add_argument("--data", nargs="*", default=[], help="folders of patches, regions or slides")
    parser.add_argument("--out", required=True, help="folder of the results")
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--seeds", type=int, default=5, help="splits, and fits of each model")
    parser.add_argument("--n_curves", type=int, default=5, help="first seeds, whose disturbances are drawn")
    parser.add_argument("--seed_offset", type=int, default=0, help="first seed")
    parser.add_argument("--image_size", default="32", help="pixels, S or HxW")
    parser.add_argument("--n_train", type=int, default=N_TRAIN, help="patches a model is fitted on, at most")
    parser.add_argument("--n_test", type=int, default=N_TEST, help="patches it is measured on, at most")
    parser.add_argument("--quick", action="store_true", help="one seed, a few patches, brief fits")
    return parser


def run(options: argparse.Namespace, sets: dict[str, PatchSet], out: Path) -> list[Row]:
    """Return one row a set, model and seed, continuing what `results.jsonl` holds already."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "results.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    done = {(row["set"], row["model"], row["seed"]) for row in rows}
    wanted = [
        (name, model, seed)
        for seed in range(options.seed_offset, options.seed_offset + options.seeds)
        for name in sets
        for model in options.models
        if (name, model, seed) not in done
    ]
    names = list(sets)
    for name, model, seed in tqdm(wanted, "similarity", unit="fit"):
        split = split_set(sets[name], seed, options.n_train, options.n_test)
        strangers = sets[names[names.index(name) - 1]].images if len(sets) > 1 else None
        started = time.monotonic()
        fitted = MODELS[model].fit(split.train, seed, options.quick)
        row = {
            "set": name,
            "model": model,
            "seed": seed,
            "fit_seconds": round(time.monotonic() - started, 1),
            "n_train": len(split.train),
            "n_regions": 0 if split.train.regions is None else len(split.train.regions),
            "n_test": len(split.test),
            **measure(fitted, split, strangers, seed, curves=seed < options.seed_offset + options.n_curves),
        }
        rows.append(row)
        with file.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
    return rows


def measure(model: nn.Module, split: Split, strangers: Tensor | None, seed: int, curves: bool = True) -> Row:
    """Return the figures of verification and, where asked for, the disturbance curves of a fitted model."""
    test = split.test
    instances = evaluate(model, test.images, seed=seed, groups=test.groups, damage=damage_views)
    row: Row = {"auc": instances.auc, "eer": instances.eer, "recall1": instances.recall1, "class_auc": None}
    row["auc_against"] = dict(instances.auc_against)
    if len(test.classes) > 1:
        row["class_auc"] = evaluate(model, test.images, test.labels, seed=seed).auc

    if not curves:
        return row

    def embed(images: Tensor) -> Tensor:
        return embed_images(model, images)

    reference, fakes = reference_and_fakes(embed, test, seed)
    fakes = fakes[:MAX_FAKES]
    drawn = disturbance_curves(
        lambda features: reference.score(features).quality,
        embed,
        test.images[fakes],
        test.labels[fakes],
        strangers,
        n_fakes=min(N_FAKES, len(fakes)),
        seed=seed,
    )
    row["disturbance"] = {name: curve.spearman for name, curve in drawn.items()}
    row["curves"] = {name: curve.scores for name, curve in drawn.items()}
    return row


def reference_and_fakes(
    embed: Callable[[Tensor], Tensor], patches: PatchSet, seed: int
) -> tuple[ReferenceStatistics, Tensor]:
    """Return statistics calibrated on two thirds of `patches`, and the index of the others."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(patches), generator=generator)
    real, held_out, fakes = order.chunk(3)
    noise = torch.randint(256, (128, *patches.images.shape[1:]), generator=generator).to(torch.uint8)
    reference = ReferenceStatistics(
        embed(patches.images[real]),
        noise_features=embed(noise),
        held_out_features=embed(patches.images[held_out]),
        n_fakes=min(N_FAKES, len(fakes)),
        seed=seed,
    )
    return reference, fakes


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Return `{set: {model: {"auc": [mean, low, high], ..., "disturbance": {name: spearman}}}}`.

    Intervals are Student's over the seeds; rank correlations are means over the seeds that have curves.
    `paired` holds the difference of AUC to every other model on the same splits.
    """
    summary: dict[str, dict[str, Row]] = {}
    for name, model in dict.fromkeys((row["set"], row["model"]) for row in rows):
        own = [row for row in rows if (row["set"], row["model"]) == (name, model)]
        entry: Row = {
            figure: mean_interval([row[figure] for row in own])
            for figure in FIGURES
            if own[0][figure] is not None
        }
        drawn = [row["disturbance"] for row in own if "disturbance" in row]
        entry["disturbance"] = {
            disturbance: sum(curves[disturbance] for curves in drawn) / len(drawn)
            for disturbance in DISTURBANCES
            if drawn and disturbance in drawn[0]
        }
        entry["paired"] = _paired(rows, name, own)
        entry["fit_seconds"] = mean_interval([row["fit_seconds"] for row in own])
        entry["n_seeds"] = len(own)
        summary.setdefault(name, {})[model] = entry
    return summary


def _paired(rows: Sequence[Row], name: str, own: Sequence[Row]) -> dict[str, list[float]]:
    auc = {row["seed"]: row["auc"] for row in own}
    others: dict[str, list[float]] = {}
    for row in rows:
        if row["set"] == name and row["model"] != own[0]["model"] and row["seed"] in auc:
            others.setdefault(row["model"], []).append(auc[row["seed"]] - row["auc"])
    return {model: mean_interval(differences) for model, differences in others.items()}


def to_table(summary: dict[str, dict[str, Row]]) -> str:
    """Return the summary as Markdown, a table a set, and one of the disturbances' rank correlations."""
    lines = []
    for name, models in summary.items():
        disturbances = [key for key in DISTURBANCES if any(key in m["disturbance"] for m in models.values())]
        lines += [
            f"| {name} | seeds | AUC | EER | recall@1 | class AUC | {' | '.join(disturbances)} | fit, s |",
            "|---" * (len(disturbances) + 7) + "|",
        ]
        for model in sorted(models, key=lambda key: -models[key]["auc"][0]):
            entry = models[model]
            cells = [str(entry["n_seeds"])]
            cells += [_cell(entry[figure]) if figure in entry else "" for figure in FIGURES]
            drawn = entry["disturbance"]
            cells += [f"{drawn[key]:.2f}" if key in drawn else "" for key in disturbances]
            lines.append(f"| {model} | {' | '.join(cells)} | {entry['fit_seconds'][0]:.0f} |")
        lines.append("")
    return "\n".join(lines)


def _cell(triple: Sequence[float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*triple)


if __name__ == "__main__":
    sys.exit(main())
