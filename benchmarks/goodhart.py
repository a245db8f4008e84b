"""Can the score be raised by images that are worse? Adversaries, judged by another network.

    python -m benchmarks.goodhart --data PATCHES --out DIR

"When a measure becomes a target, it ceases to be a good measure." Each adversary makes images that the score
might like: the mean image, the real patch with the highest score repeated, real patches with noise, and a
generator that climbs the reward model's own gradient, beginning from one that was trained as a GAN. A frozen
EfficientNet-Lite2, which no reward has ever seen, says by KID which images are worse. The score is fooled
where it calls an adversary's images better and the judge calls them worse. Writes `goodhart.json`, `table.md`
and `samples_SET.png`.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.utils import save_image
from tqdm import tqdm

from benchmarks.disturbances import noise
from benchmarks.similarity import N_FAKES, N_TEST, N_TRAIN
from benchmarks.similarity_models import MODELS
from benchmarks.similarity_sets import EMBEDDED, load_set, split_set
from gan_gym.data.patches import PatchSet
from gan_gym.data.sampler import PatchSampler, to_float, to_uint8
from gan_gym.gan import GANTrainer, Settings, TrainerConfig, build_networks
from gan_gym.metrics.extractors import load_extractor
from gan_gym.metrics.kid import kid
from gan_gym.metrics.metric import Metric
from gan_gym.names import lookup
from gan_gym.rewards import Scorer, View, siamese_scorer
from snn import ReferenceStatistics

GAN_STEPS, ATTACK_STEPS = 800, 200
"""Inner steps of the GAN, and steps of the generator that climbs the score after it."""
N_JUDGED = 512
"""Images a side for the judge."""
NOISE = 20.0
"""Standard deviation of the noise on real patches, in units of 1/255."""
TOLERANCE = 0.02
"""Differences of quality that count as none."""
QUICK = {"gan_steps": 20, "attack_steps": 10, "n_train": 200, "n_test": 240}

Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Attack the score and return the exit code."""
    options = _options().parse_args(argv)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, min(getattr(options, name), value))
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Row]] = {}
    try:
        lookup(MODELS, options.model, "model")
        for name in [*options.data, EMBEDDED]:
            images, rows = attack(load_set(name, options.image_size), options)
            results[Path(name).name] = rows
            shown = torch.cat([fake[:12] for fake in images.values()])
            save_image(shown / 255, out / f"samples_{Path(name).name}.png", nrow=12)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    (out / "goodhart.json").write_text(json.dumps(results, indent=1) + "\n")
    table = to_table(results)
    (out / "table.md").write_text(table)
    print(table)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goodhart", description=__doc__)
    parser.add_argument("--data", nargs="*", default=[], help="folders of patches, regions or slides")
    parser.add_argument("--out", required=True, help="folder of the results")
    parser.add_argument("--model", default="fast", help=f"whose score is attacked: {', '.join(MODELS)}")
    parser.add_argument("--image_size", default="32", help="pixels, S or HxW")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--n_train", type=int, default=N_TRAIN, help="patches to fit on, at most")
    parser.add_argument("--n_test", type=int, default=N_TEST, help="patches to measure on, at most")
    parser.add_argument("--gan_steps", type=int, default=GAN_STEPS, help="inner steps of the GAN")
    parser.add_argument("--attack_steps", type=int, default=ATTACK_STEPS, help="steps that climb the score")
    parser.add_argument("--no_guard", action="store_true", help="attack the reward model without its guard")
    parser.add_argument("--quick", action="store_true", help="few steps and patches")
    return parser


def attack(patches: PatchSet, options: argparse.Namespace) -> tuple[dict[str, Tensor], dict[str, Row]]:
    """Return every adversary's images, uint8, and its row."""
    split = split_set(patches, options.seed, options.n_train, options.n_test)
    model = MODELS[options.model].fit(split.train, options.seed, options.quick).requires_grad_(False)
    known, fresh = torch.arange(len(split.test)).tensor_split([2 * len(split.test) // 3])
    device = torch.device("cpu")
    scorer = siamese_scorer(model, split.test.subset(known), min(N_FAKES, len(fresh)), device)
    if options.no_guard:
        scorer = Scorer(scorer.views[0], device)
    images = make_adversaries(scorer, split.train.images, split.test.images[fresh][:N_JUDGED], options)
    judge = load_extractor()
    truth = judge(to_float(split.test.images))
    judged = {name: kid(truth, judge(to_float(fake))) for name, fake in images.items()}
    rows: dict[str, Row] = {}
    for name, fake in images.items():
        parts = [
            part for part in torch.split(to_float(fake), N_FAKES) if len(part) >= min(N_FAKES, len(fresh))
        ]
        scores = [scorer.score(part).quality for part in parts]
        rows[name] = {"quality": sum(scores) / len(scores), "kid": judged[name].to_json()}
    for name, row in rows.items():
        origin = "real" if name.startswith("real") else "gan"
        worse = _above(judged[name], judged[origin])
        row["worse_by_the_judge"] = worse
        row["fooled"] = worse and row["quality"] > rows[origin]["quality"] + TOLERANCE
    return images, rows


def _above(first: Metric, second: Metric) -> bool:
    """Say whether the interval of one figure lies above that of another."""
    return first.low is not None and second.high is not None and first.low > second.high


def make_adversaries(
    scorer: Scorer, train: Tensor, real: Tensor, options: argparse.Namespace
) -> dict[str, Tensor]:
    """Return uint8 images by name; the first two are no adversaries but what these are compared with."""
    rng = torch.Generator().manual_seed(options.seed)
    view = scorer.views[0]
    points = torch.cat([view.features(part) for part in torch.split(to_float(train), N_FAKES)])
    alone = [view.reference.score(point.expand(N_FAKES, -1)).quality for point in points]
    best = train[alone.index(max(alone))]
    mean = train.float().mean(dim=0).round().to(torch.uint8)
    trainer = GANTrainer(
        *build_networks("light", tuple(train.shape[1:]), seed=options.seed),
        PatchSampler(train),
        TrainerConfig(),
        Settings(g_lr=4e-4, d_lr=4e-4, instance_noise=0.1),
        seed=options.seed,
    )
    for _ in tqdm(range(options.gan_steps // 20), "GAN", unit="block", leave=False):
        trainer.train(20)
    generator = trainer.g_ema.module
    z = latents(generator, len(real), rng)
    climbers = {"gan climbing the reward model": [view]}
    if len(scorer.views) > 1:
        climbers["gan climbing reward model and guard"] = list(scorer.views)
    climbed = {name: climb(generator, views, options.attack_steps, rng) for name, views in climbers.items()}
    return {
        "real": real,
        "gan": sample(generator, z),
        **{name: sample(climber, z) for name, climber in climbed.items()},
        "mean image": mean.expand(len(real), -1, -1, -1).contiguous(),
        "best patch repeated": best.expand(len(real), -1, -1, -1).contiguous(),
        "real with noise": noise(real, NOISE, rng),
    }


def climb(
    generator: nn.Module, views: Sequence[View], n_steps: int, rng: torch.Generator, lr: float = 1e-3
) -> nn.Module:
    """Train a copy of a generator on nothing but the gradient of the scores in these views."""
    climber = copy.deepcopy(generator).train()
    climber.requires_grad_(True)
    optimizer = torch.optim.Adam(climber.parameters(), lr=lr, betas=(0.5, 0.99))
    for _ in tqdm(range(n_steps), "climbing", unit="step", leave=False):
        fakes = climber(latents(climber, N_FAKES, rng))
        loss = -torch.stack([soft_quality(view.reference, view.features(fakes)) for view in views]).sum()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    return climber.eval()


def soft_quality(reference: ReferenceStatistics, fake: Tensor) -> Tensor:
    """Return what quality is made of, uncut, so that a gradient leads up from anywhere."""
    references = reference.real.clone()  # they were made in inference mode
    across, among = torch.cdist(fake, references), torch.cdist(fake, fake)
    real = torch.cdist(references, references)
    fidelity = -torch.log1p((across.amin(dim=1) / reference.fidelity_scale).square()).mean()
    coverage = (1 / (1 + (across.amin(dim=0) / reference.coverage_scale).square())).mean()
    overlaps = [
        2 * _kernel(across, width).mean() / (_off_diagonal(among, width) + _off_diagonal(real, width))
        for width in reference.kernel_widths
    ]
    return fidelity + coverage + torch.stack(overlaps).mean()


def _kernel(distances: Tensor, width: float) -> Tensor:
    return torch.exp(-0.5 * (distances / width).square())


def _off_diagonal(distances: Tensor, width: float) -> Tensor:
    n = len(distances)
    return (_kernel(distances, width).sum() - n) / (n * (n - 1))


def latents(generator: nn.Module, n: int, rng: torch.Generator) -> Tensor:
    """Return normal latents `(n, z_dim)`."""
    return torch.randn(n, cast(int, generator.z_dim), generator=rng)


@torch.no_grad()
def sample(generator: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return uint8 images of latents `(N, z_dim)`."""
    return to_uint8(torch.cat([generator(part) for part in torch.split(z, 128)]))


def to_table(results: dict[str, dict[str, Row]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "| set | images | quality | KID of the judge | worse, says the judge | fooled |",
        "|---" * 6 + "|",
    ]
    for name, rows in results.items():
        for adversary, row in rows.items():
            figure = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**row["kid"])
            flags = ["yes" if row[key] else "no" for key in ("worse_by_the_judge", "fooled")]
            lines.append(f"| {name} | {adversary} | {row['quality']:.3f} | {figure} | {' | '.join(flags)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
