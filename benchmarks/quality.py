"""GANs, uncontrolled, scheduled and controlled, and a diffusion model on real patches at equal images seen.

    python -m benchmarks.quality --data PATCHES --seeds 3 --out DIR

The comparison of arXiv 2409.20340, made reproducible: each reference model
(`benchmarks/reference_models.py`) in each form of control, judged on patches kept from training by a
network that no reward uses. Writes `quality.jsonl` (one row a run), `table.md`, `plot.png` and `samples.png`;
what an interrupted call has finished is not repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.comparison_rows import append_rows, read_rows
from benchmarks.diffusion import check_installed
from benchmarks.playing import Row, fitting_processes, workers
from benchmarks.provenance import command, commit
from benchmarks.quality_plot import draw_samples, plot
from benchmarks.quality_runs import DIFFUSION, FORMS, Job, run
from benchmarks.quality_table import to_table
from benchmarks.reference_models import REFERENCE_MODELS
from gan_gym.data.loading import load_patches
from gan_gym.devices import resolve_device
from gan_gym.names import lookup

QUICK = {"seeds": 1, "n_images": 1280}
"""Upper limits of options under `--quick`."""
QUICK_MODELS = ("dcgan", DIFFUSION)
"""What `--quick` trains, unless models are given."""
MODELS = (*REFERENCE_MODELS, DIFFUSION)
"""What is trained."""
ONLINE_MODEL = "dcgan"
"""The one model that an agent also learns on in the run itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    if options.models is None:
        options.models = QUICK_MODELS if options.quick else MODELS
    torch.set_num_threads(1)
    out = Path(options.out)
    try:
        jobs = _jobs(options, out)
        if options.data is not None:
            load_patches(options.data, options.image_size)
        rows = _run_all(
            jobs, out, options.processes, command("benchmarks.quality", None if argv is None else list(argv))
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = to_table(rows)
    (out / "table.md").write_text(table)
    plot(rows, out / "plot.png")
    draw_samples(rows, out / "samples", out / "samples.png")
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", required=True, help="folder of the results")
    add("--data", help="folder of patches; the embedded tissue unless given")
    add("--models", nargs="+", metavar="MODEL", help=f"{[*MODELS]}, all of them unless given")
    add(
        "--forms",
        nargs="+",
        default=[*FORMS],
        metavar="FORM",
        help=f"{[*FORMS]}; online is of {ONLINE_MODEL}",
    )
    add("--seeds", type=int, default=3, help="runs of each")
    add("--n_images", type=int, default=12_800, help="real images that each run sees")
    add("--batch_size", type=int, default=32)
    add("--image_size", type=int, default=32)
    add("--device", default="auto")
    add("--processes", type=int, default=fitting_processes(), help="processes that train")
    quick = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"{' and '.join(QUICK_MODELS)} alone; at most: {quick}")
    return parser


def _jobs(options: argparse.Namespace, out: Path) -> list[Job]:
    """Return the runs, models of one seed beside each other.

    Raises:
        ValueError: if a name is unknown, a number too small, or `diffusers` missing.
    """
    for model in options.models:
        lookup(dict.fromkeys(MODELS), model, "model")
    for form in options.forms:
        lookup(FORMS, form, "form")
    for name in ("seeds", "n_images", "batch_size", "image_size"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} is {getattr(options, name)}; give a whole number >= 1")
    if DIFFUSION in options.models:
        check_installed()
    return [
        Job(
            model=model,
            form=form,
            seed=seed,
            data=options.data,
            image_size=options.image_size,
            n_images=options.n_images,
            batch_size=options.batch_size,
            device=str(resolve_device(options.device)),
            samples=str(out / "samples"),
        )
        for seed in range(options.seeds)
        for model in options.models
        for form in options.forms
        if (model != DIFFUSION or form == "uncontrolled") and (form != "online" or model == ONLINE_MODEL)
    ]


def _run_all(jobs: Sequence[Job], out: Path, n_processes: int, command_line: str) -> list[Row]:
    """Return the row of every job, continuing what `quality.jsonl` holds already.

    Raises:
        ValueError: if the file holds runs on other data or of another size or budget.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / "quality.jsonl"
    rows = read_rows(file)
    wanted = {(job.image_size, job.n_images, job.batch_size, job.data_name) for job in jobs}
    for row in rows:
        found = (row["image_size"], row["n_images"], row["batch_size"], row["data"])
        if found not in wanted:
            raise ValueError(f"'{file}' holds runs made otherwise ({found}); give another --out")
    done = {(row["model"], row["form"], row["seed"]) for row in rows}
    missing = [job for job in jobs if (job.model, job.form, job.seed) not in done]
    provenance = {"commit": commit(), "command": command_line}
    n_processes = min(n_processes, len(missing))
    with workers(n_processes, run) as work, tqdm(total=len(jobs), initial=len(jobs) - len(missing)) as bar:
        for new in work(missing):
            new = [{**row, **provenance} for row in new]
            append_rows(file, new)
            rows += new
            bar.update(len(new))
            bar.set_postfix_str(f"{new[-1]['model']}, {new[-1]['form']}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
