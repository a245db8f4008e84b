"""Load the user's patches, and say what was left out and what looks wrong with them."""

from __future__ import annotations

import logging

from gan_gym.data.loading import load_patches
from gan_gym.data.report import DataReport, Loaded, OnBadImage, Purpose
from gan_gym.data.resolution import Resolution

logger = logging.getLogger(__name__)


def read_patches(
    source: str | None,
    image_size: int | str,
    *,
    min_patches: int,
    purpose: Purpose = "train",
    on_bad_image: OnBadImage = "skip",
    seed: int = 0,
    mpp: float = Resolution.mpp,
    slide_mpp: float | None = None,
    keep_copies: bool = False,
) -> Loaded:
    """Load patches as `gan_gym.data.load_patches` does, with a progress bar and warnings.

    Raises:
        ValueError: if the data cannot be used.
    """
    loaded = load_patches(
        source,
        image_size,
        min_patches=min_patches,
        purpose=purpose,
        on_bad_image=on_bad_image,
        progress=True,
        seed=seed,
        mpp=mpp,
        slide_mpp=slide_mpp,
        keep_copies=keep_copies,
    )
    for warning in loaded.report.warnings:
        logger.warning("%s", warning)
    if loaded.report.unusable:
        logger.warning("%s", _left_out(loaded.report))
    return loaded


def _left_out(report: DataReport) -> str:
    unusable = report.unusable
    first = "; ".join(f"{item.path} ({item.reason})" for item in unusable[:3])
    more = f"; and {len(unusable) - 3} more: see gan-gym check-data" if len(unusable) > 3 else ""
    return f"{len(unusable)} unusable images are left out: {first}{more}"
