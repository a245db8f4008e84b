"""Prove that no run is lost and no file is trusted: kills, wrong inputs, hostile files, broken bytes.

    python -m benchmarks.faults --out DIR

What is measured, by group (`--groups`):

* `kills`: runs of `gan-gym train` are killed at random moments, while they fit the reward model, train and
  write checkpoints, and resumed; their generator, controller, metrics, reward model and sample grids must
  equal those of an undisturbed run, byte for byte;
* `wrong_inputs`: a catalogue over all commands; each must end with 2, in one line, and leave nothing behind;
* `hostile_files`: damaged and malicious model files; none may be loaded, none may run code;
* `fuzz`: broken bytes for every parser of a user's files; only documented errors may come out;
* `checkpoints`: what writing them costs, as a share of the training between two.

`DIR/faults.json` holds the counts (`kills survived bad_inputs answered fuzz_runs crashes hostile_files
loaded`) and all figures by group, those of groups measured before among them, `DIR/table.md` the table,
`DIR/crashes/` the bytes of what crashed. The exit code is 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from agents import cli
from agents.controlled import N_CHECKPOINTS
from agents.resuming import RunState, save_run_state
from benchmarks.fuzz import TARGETS, fuzz
from benchmarks.hostile_files import KINDS, accepted, catalogue
from benchmarks.kills import kill_runs
from benchmarks.provenance import command, commit
from benchmarks.wrong_inputs import CASES, shortcoming
from gan_gym.data.loading import load_patches
from gan_gym.envs.histogan import HistoGANEnv

Figures = dict[str, Any]

MOST_COST = 0.03
"""Share of the training that checkpoints may take."""
TINY = (
    "--controller pretrained --image_size 16 --batch_size 8 --inner_steps 4 --n_images 1600 --device cpu "
    "--evaluate false --held_out 0.2"
)
"""Options of the runs that are killed: half a minute, of which the reward model takes a third."""
DEFAULT_IMAGES = 80_000
"""Images a run sees unless told otherwise."""
QUICK = {"kills": 4, "executions": 10_000}
"""Upper limits of options under `--quick`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the groups asked for, write the figures, and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "faults.json"
    origin = {
        "command": command("benchmarks.faults", None if argv is None else list(argv)),
        "commit": commit(),
    }
    for name in options.groups:
        with tempfile.TemporaryDirectory() as folder:
            found = GROUPS[name](options, Path(folder)) | origin
        known: dict[str, Figures] = json.loads(file.read_text())["groups"] if file.is_file() else {}
        figures = {each: (known | {name: found})[each] for each in GROUPS if each in {*known, name}}
        counts = {key: n for group in figures.values() for key, n in group["counts"].items()}
        file.write_text(json.dumps({**counts, "groups": figures}, indent=1) + "\n")
    table = _table(figures)
    (options.out / "table.md").write_text(table)
    print(table)
    return 0 if all(figures[name]["kept"] for name in options.groups) else 1


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="what is measured")
    add("--kills", type=int, default=60, help="kills in all")
    add("--executions", type=int, default=1_000_000, help="broken contents in all")
    add("--seed", type=int, default=0, help="of moments and bytes")
    quick = ", ".join(f"{name} {value:,}" for name, value in QUICK.items())
    add("--quick", action="store_true", help=f"at most: {quick}")
    add("--out", type=Path, required=True, help="folder of the figures")
    return parser


def patches(folder: Path, n: int = 40) -> Path:
    """Write noisy patches of two classes, 32 x 32, into a folder."""
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        for i in range(n // 2):
            smooth = np.asarray(Image.fromarray(rng.integers(60, 200, (4, 4, 3), np.uint8)).resize((32, 32)))
            noisy = (smooth + rng.integers(-20, 20, (32, 32, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{i}.png")
    return folder


def _kills(options: argparse.Namespace, folder: Path) -> Figures:
    arguments = ["train", "--data", str(patches(folder / "data", 200)), *TINY.split()]
    moments: Counter[str] = Counter()
    n_runs, n_survived, different = 0, 0, list[str]()
    with tqdm(total=options.kills, desc="kills", unit="kill") as bar:
        for run in kill_runs(arguments, folder, options.kills, options.seed):
            n_runs += 1
            moments.update(run.kills)
            different += run.different
            n_survived += 0 if run.different else len(run.kills)
            bar.update(len(run.kills))
    said = f"{sum(moments.values())} kills over {n_runs} runs ({_counts(moments)}): "
    said += f"{len(different)} files differ" if different else "all ended byte for byte as an undisturbed one"
    counts = {"kills": sum(moments.values()), "survived": n_survived}
    found = {"moments": dict(moments), "different": different}
    return {"kept": not different, "said": said, "counts": counts, **found}


def _wrong_inputs(options: argparse.Namespace, folder: Path) -> Figures:
    good, run, failed = patches(folder / "good"), folder / "run", dict[str, str]()
    finished = "--controller cosine --reward_model shipped --n_images 160 --batch_size 8 --inner_steps 2"
    finished += " --image_size 16 --evaluate false"
    assert cli.main(["train", "--data", str(good), "--out", str(run), *finished.split()]) == 0
    for i, case in enumerate(tqdm(CASES, desc="wrong inputs", unit="case")):
        here = folder / f"case_{i}"
        here.mkdir()
        if "RUN" in case.arguments:
            shutil.copytree(run, here / "RUN")
        if (found := shortcoming(case, here, good)) is not None:
            failed[case.name] = found
    counts = {"bad_inputs": len(CASES), "answered": len(CASES) - len(failed)}
    said = f"{counts['answered']} of {len(CASES)} answered with one line, the remedy, and nothing left"
    return {"kept": not failed, "said": said, "counts": counts, "failed": failed}


def _hostile_files(options: argparse.Namespace, folder: Path) -> Figures:
    mark, failed, n = folder / "executed", dict[str, str](), 0
    for kind in KINDS:
        (folder / kind).mkdir()
        KINDS[kind].make(folder / kind)
    for n, hostile in enumerate(tqdm(list(catalogue(mark)), desc="hostile files", unit="file"), start=1):
        found = accepted(hostile, folder / hostile.kind, folder / f"hostile_{n}")
        if found is not None:
            failed[f"{hostile.kind}: {hostile.name}"] = found
    executed = mark.exists()
    said = f"{n - len(failed)} of {n} refused, {'code was' if executed else 'none'} executed"
    counts = {"hostile_files": n, "loaded": len(failed)}
    return {"kept": not failed and not executed, "said": said, "counts": counts, "failed": failed}


def _fuzz(options: argparse.Namespace, folder: Path) -> Figures:
    crashes, runs = list[str](), dict[str, int]()
    with tqdm(total=options.executions, desc="fuzz", unit="exec") as bar:
        for name, target in TARGETS.items():
            runs[name] = round(options.executions * target.share)
            here = folder / name.replace(" ", "_").replace("'", "")
            here.mkdir()
            for crash in fuzz(name, runs[name], here, options.seed):
                bar.update()
                if crash is not None:
                    crashes.append(f"{name}, seed {crash.seed}: {crash.error}")
                    kept = options.out / "crashes" / f"{here.name}_{crash.seed}"
                    kept.parent.mkdir(exist_ok=True)
                    kept.write_bytes(crash.content)
    counts = {"fuzz_runs": sum(runs.values()), "crashes": len(crashes)}
    said = f"{counts['fuzz_runs']:,} executions of {len(TARGETS)} parsers, {len(crashes)} crashes"
    found = {"executions": runs, "crashes": crashes[:100]}
    return {"kept": not crashes, "said": said, "counts": counts, **found}


def _checkpoints(options: argparse.Namespace, folder: Path) -> Figures:
    """Time checkpoints of a 32-px run against the training between two of them at the default budget."""
    torch.set_num_threads(1)
    env = HistoGANEnv.on_patches(load_patches(None, 32).patches, reward_model="tissue", batch_size=32)
    env.reset(seed=options.seed)
    began = time.perf_counter()
    env.step(np.zeros(len(env.knobs), np.float32))
    per_update = (time.perf_counter() - began) / env.inner_steps
    between = per_update * DEFAULT_IMAGES / 32 / N_CHECKPOINTS
    times = []
    for i in range(6):
        began = time.perf_counter()
        save_run_state(folder, RunState(env.snapshot(), i))
        times.append(time.perf_counter() - began)
    cost = float(np.median(times)) / between
    said = f"a checkpoint takes {np.median(times):.2f} s every {between:.0f} s: {100 * cost:.1f} %"
    return {"kept": cost <= MOST_COST, "said": said, "counts": {}, "share": cost}


GROUPS: dict[str, Callable[[argparse.Namespace, Path], Figures]] = {
    "kills": _kills,
    "wrong_inputs": _wrong_inputs,
    "hostile_files": _hostile_files,
    "fuzz": _fuzz,
    "checkpoints": _checkpoints,
}
"""Groups by name."""


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counter.most_common())


def _table(figures: dict[str, Figures]) -> str:
    lines = ["| what | found | kept |", "|---|---|---|"]
    for name, found in figures.items():
        lines.append(f"| {name.replace('_', ' ')} | {found['said']} | {'yes' if found['kept'] else 'NO'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
