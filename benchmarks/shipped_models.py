"""Fit the small models that ship with the package.

python -m benchmarks.shipped_models tissue --out snn/pretrained/tissue
python -m benchmarks.shipped_models digits --out snn/pretrained/digits
python -m benchmarks.shipped_models digit_classifier --out gan_gym/data
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch.nn.functional import cross_entropy, grid_sample
from tqdm.auto import tqdm

from gan_gym.data.digits import CLASSIFIER, DigitClassifier, single_digits, stacked_digits
from gan_gym.data.patches import PatchSet
from gan_gym.data.tissue import tissue_patches
from snn import DEFAULT_STAGES, History, SiameseNet, Stage, evaluate, finetune, to_float

DIGIT_STAGES = (
    Stage(
        "digits",
        n_steps=600,
        batch_size=128,
        unfreeze=((0.0, 0.0), (0.05, 0.35), (0.1, 0.7), (0.15, 1.0)),
        layer_decay=0.9,
        label_weight=1.0,
        degraded=0.25,
        shift=0.15,
        flips=False,
        stain_jitter=0.0,
    ),
)


def fit_tissue(out: Path, seed: int) -> None:
    """Fit the default reward model on embedded tissue; measure it on regions it has not seen."""
    patches = tissue_patches(5000, image_size=32, seed=seed, n_regions=96)
    train, held_out = patches.split(0.2, seed=seed)
    _fit("tissue", SiameseNet(depth=3, min_size=32, seed=seed), train, held_out, DEFAULT_STAGES, out, seed)


def fit_digits(out: Path, seed: int) -> None:
    """Fit the reward model of stacked digits and measure it on digits it has not seen."""
    train, held_out = stacked_digits(20_000, seed, "train"), stacked_digits(4000, seed, "heldout")
    _fit("digits", SiameseNet(depth=3, min_size=16, seed=seed), train, held_out, DIGIT_STAGES, out, seed)


def fit_digit_classifier(out: Path, seed: int) -> None:
    """Fit the classifier of single digits on the held-out half and test it on the other."""
    x, y = single_digits("heldout")
    test_x, test_y = single_digits("train")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed also seeds GPUs
        model = DigitClassifier()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
        n_steps = 1500
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for _ in tqdm(range(n_steps), desc="fit digit classifier", unit="step"):
            index = torch.randint(len(x), (128,), generator=generator)
            loss = cross_entropy(model(_jittered(to_float(x[index])[:, None], generator)), y[index])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    state = {key: value.half() for key, value in model.eval().state_dict().items()}
    model.load_state_dict({key: value.float() for key, value in state.items()})
    with torch.inference_mode():
        accuracy = float((model(to_float(test_x)[:, None]).argmax(dim=1) == test_y).float().mean())
    weights = save(state)
    description = {
        "command": _command("digit_classifier", out, seed),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "fitted_on": f"{len(x)} digits of scikit-learn's load_digits, split 'heldout'",
        "tested_on": f"{len(test_x)} digits, split 'train'",
        "accuracy": round(accuracy, 4),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / CLASSIFIER.name).write_bytes(weights)
    (out / CLASSIFIER.with_suffix(".json").name).write_text(json.dumps(description, indent=2) + "\n")
    print(f"accuracy on digits never seen: {accuracy:.4f}")


FITS: dict[str, Callable[[Path, int], None]] = {
    "tissue": fit_tissue,
    "digits": fit_digits,
    "digit_classifier": fit_digit_classifier,
}


def _fit(
    name: str,
    model: SiameseNet,
    train: PatchSet,
    held_out: PatchSet,
    stages: Sequence[Stage],
    out: Path,
    seed: int,
) -> None:
    """Fit, store in half precision, measure what is stored, and write the figures beside it."""
    history = finetune(
        model,
        train.images,
        labels=train.labels,
        regions=train.regions,
        region_labels=train.region_labels,
        stages=stages,
        validation=(held_out.images, None),
        seed=seed,
    )
    model.save(out, dtype=torch.float16)
    stored = SiameseNet.load(out)
    last = stages[-1]
    views = {"shift": last.shift, "flips": last.flips, "stain_jitter": last.stain_jitter}
    instances = evaluate(stored, held_out.images, seed=seed, **views)  # type: ignore[arg-type]
    classes = evaluate(stored, held_out.images, held_out.labels, seed=seed)
    figures = {
        "command": _command(name, out, seed),
        "data": {"fitted_on": len(train), "held_out": len(held_out), "image_size": list(train.image_size)},
        "history": _summary(history),
        "held_out": {
            "instance_auc": round(instances.auc, 4),
            "instance_eer": round(instances.eer, 4),
            "class_auc": round(classes.auc, 4),
            "class_eer": round(classes.eer, 4),
        },
        "versions": {"torch": torch.__version__},
    }
    stored.save(out, provenance=figures, dtype=torch.float16)
    print(json.dumps(figures["held_out"]))


def _command(name: str, out: Path, seed: int) -> str:
    return f"python -m benchmarks.shipped_models {name} --out {out.as_posix()} --seed {seed}"


def _summary(history: History) -> list[dict[str, Any]]:
    """Return the rows at which something was unfrozen, and the last one."""
    rows = history.as_dicts()
    kept = [row for row in rows if row["auc"] is not None] + [{**rows[-1], "auc": history.final_auc}]
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()} for row in kept]


def _jittered(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn, scale and move each digit a little."""
    n = len(x)
    angle = 0.25 * (2 * torch.rand(n, generator=generator) - 1)
    scale = 1 + 0.15 * (2 * torch.rand(n, generator=generator) - 1)
    move = 0.2 * (2 * torch.rand(n, 2, generator=generator) - 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([cos, -sin, move[:, 0], sin, cos, move[:, 1]], dim=1).view(n, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the model named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipped_models", description=__doc__)
    parser.add_argument("name", choices=sorted(FITS), help="which model is fitted")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder that receives weights and description"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of data and fitting")
    options = parser.parse_args(arguments)
    FITS[options.name](options.out, options.seed)


if __name__ == "__main__":
    main()
