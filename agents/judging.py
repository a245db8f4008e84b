"""Evaluate generated patches and write a run's report (`gan-gym evaluate`, `gan-gym report`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.config import EvaluateConfig, ReportConfig, TrainConfig
from agents.evaluation_files import keep_evaluation
from agents.generator_file import decoder, generate, load_generator
from agents.input_data import read_patches
from agents.report import write_report
from agents.run_board import write_end
from agents.run_data import check_data
from agents.run_folder import read_config
from agents.splitting import describe_split, split_held_out
from agents.summary import write_summary
from gan_gym.checkpoint import replace_file
from gan_gym.data.loading import inspect_data
from gan_gym.data.patches import PatchSet
from gan_gym.data.report import DataError, OnBadImage
from gan_gym.devices import resolve_device
from gan_gym.metrics import METRICS, Decoder, cache_folder, evaluate, load_extractor


def run_evaluate(config: EvaluateConfig) -> int:
    """Print the figures with their intervals; write them to `--json`, and into the report of `--run`."""
    if config.fake is None and config.run is None:
        raise ValueError(
            "nothing to evaluate: give either --fake (a folder of patches) or --run (a run's folder)"
        )
    if config.fake is not None and config.run is not None:
        raise ValueError("--fake and --run are two things to evaluate; give one of them")
    if config.real is None and config.run is None:
        raise ValueError("--fake needs --real, a folder of real patches to compare with")
    if config.run is not None and config.image_size is not None:
        raise ValueError("--image_size goes with --fake; the patches of a run have the run's own size")
    if config.on_bad_image is not None and config.real is None:
        raise ValueError("--on_bad_image goes with --real; a run's own patches are read as they were for it")
    if config.json is not None:
        _check_file(Path(config.json))
    device = resolve_device(config.device)
    extractor = load_extractor(config.extractor, str(device))
    module = None if config.run is None else load_generator(config.run, device)
    options = TrainConfig() if config.run is None else read_config(_home(config.run))
    on_bad_image = config.on_bad_image or options.on_bad_image
    fake: Tensor | PatchSet
    train: Tensor | None = None
    walked: Decoder | None = None
    if module is not None:
        fake = generate(module, config.n, config.seed, device)
        size = f"{fake.shape[2]}x{fake.shape[3]}"
        walked = decoder(module, device)
    else:
        assert config.fake is not None
        size = str(config.image_size or _common_size(config.fake, on_bad_image))
        fake = _read(config.fake, size, options, on_bad_image, keep_copies=True)
    if config.real is None:
        assert config.run is not None
        real, trained = _own_patches(Path(_home(config.run)), options, size)
        train, split = trained.images, describe_split(real, trained)
    else:  # without a yardstick of memorisation: what is near in one data set may be far in another
        real = _read(config.real, size, options, on_bad_image)
        split = "as given with --real"
    evaluation = evaluate(
        real,
        fake,
        train=train,
        decoder=walked,
        extractor=extractor,
        split=split,
        cache=cache_folder(),
        seed=config.seed,
        progress=True,
    )
    result = evaluation.to_json()
    print(_table(result))
    if config.json is not None:
        replace_file(Path(config.json), json.dumps(result, indent=1).encode())
    if config.run is not None and config.real is None:
        assert train is not None
        assert isinstance(fake, Tensor)
        keep_evaluation(Path(config.run), evaluation, fake, train)
        if _home(config.run) == config.run:
            write_end(Path(config.run))
            write_summary(Path(config.run))
            write_report(Path(config.run))
    return 0


def _home(run: str) -> str:
    """Return the run's folder that a generator lies in: that of the best checkpoint is one below it."""
    above = Path(os.path.abspath(run)).parent
    inside = not Path(run, "config.yaml").is_file() and (above / "config.yaml").is_file()
    return str(above) if inside else run


def _check_file(path: Path) -> None:
    if path.is_dir() or not path.absolute().parent.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise ValueError(
            f"--json '{path}' cannot be written; give a file in a folder that exists and is writable"
        )


def _own_patches(run: Path, options: TrainConfig, size: str) -> tuple[PatchSet, PatchSet]:
    """Return the patches that a run kept from training, and those it was trained on.

    Raises:
        ValueError: if there are others now: which of them were held out cannot be told.
    """
    patches = _read(options.data, size, options, options.on_bad_image, options.seed)
    train, held_out = split_held_out(patches, options.held_out, options.seed)
    check_data(run, train, held_out)
    return held_out, train


def _read(
    source: str | None,
    size: str,
    options: TrainConfig,
    on_bad_image: OnBadImage,
    seed: int = 0,
    *,
    keep_copies: bool = False,
) -> PatchSet:
    """Read patches to compare at the resolution of a run's options; generated ones with their copies."""
    return read_patches(
        source,
        size,
        min_patches=2,
        purpose="compare",
        on_bad_image=on_bad_image,
        seed=seed,
        mpp=options.mpp,
        slide_mpp=options.slide_mpp,
        keep_copies=keep_copies,
    ).patches


def _common_size(source: str, on_bad_image: OnBadImage) -> str:
    """Return the most frequent size of the images, rounded down to multiples of 8."""
    sizes = inspect_data(source, on_bad_image=on_bad_image, keep_copies=True).sizes
    if not sizes:
        raise DataError(f"'{source}' holds no usable image; see gan-gym check-data {source}")
    height, width = (int(side) // 8 * 8 for side in next(iter(sizes)).split("x"))
    return f"{height}x{width}"


def _table(result: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name in METRICS:
        metric = result[name]
        if metric["value"] is None:
            lines.append(f"{name:<22}{'-':>10}   {metric['reason']}")
        else:
            lines.append(f"{name:<22}{metric['value']:>10.4f}   [{metric['low']:.4f}, {metric['high']:.4f}]")
    settings = result[METRICS[0]]
    lines.append(
        f"{settings['n_real']} real, {settings['n_fake']} generated; extractor {settings['extractor']} "
        f"({settings['resize']}); real patches {settings['split']}; 95 % intervals"
    )
    return "\n".join(lines)


def run_report(config: ReportConfig) -> int:
    """Write `summary.md` and `report.html` into a run's folder."""
    assert config.run is not None
    write_summary(Path(config.run))
    print(write_report(Path(config.run)))
    return 0
