"""The GANs that a user would otherwise train, as settings of one trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceModel:
    """A published GAN in the trainer, the budget and the size that all share."""

    meaning: str
    """One line for the table, with the source."""
    networks: str
    """A name in `gan.NETWORKS`."""
    loss: str
    """A name in `gan.LOSSES`."""
    settings: Mapping[str, float]
    """What it starts with, by the names of `gan.Settings`; without control it stays."""


_DCGAN = {"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5}

REFERENCE_MODELS: dict[str, ReferenceModel] = {
    "dcgan": ReferenceModel("DCGAN (arXiv 1511.06434)", "light", "non_saturating", _DCGAN),
    "lsgan": ReferenceModel("LSGAN (arXiv 1611.04076)", "light", "least_squares", _DCGAN),
    "wgan_gp": ReferenceModel(
        "WGAN-GP (arXiv 1704.00028), layer normalisation in D",
        "light_layer",
        "wgan_gp",
        {"g_lr": 1e-4, "d_lr": 3e-4, "beta1": 0.0},
    ),
    "sngan": ReferenceModel(
        "SNGAN (arXiv 1802.05957), hinge loss",
        "light_spectral",
        "hinge",
        {"g_lr": 1e-4, "d_lr": 4e-4, "beta1": 0.0},
    ),
    "r1_r2": ReferenceModel(
        "R3GAN's loss (arXiv 2501.05441): relativistic, R1 and R2",
        "light_layer",
        "relativistic",
        {"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.0, "r1_gamma": 0.2},
    ),
    "diffaugment": ReferenceModel(
        "DCGAN with DiffAugment (arXiv 2006.10738)", "light", "non_saturating", {**_DCGAN, "augment_p": 1.0}
    ),
}
"""Reference models by name. All update D once per update of G, so that all see the same images; WGAN-GP and
SNGAN, published with five updates of D, therefore have a faster D, as two time-scales would (arXiv
1706.08500): the rates of these two, like the penalty of `r1_r2` at this size, are our choice."""
