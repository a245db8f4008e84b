"""The one form in which images travel through the package."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

UNLABELLED = "unlabelled"
"""The one class of patches that have no labels."""
OVERSHOOT = 1.5
"""Most that is held out, as a multiple of the share wanted, where groups are large."""


@dataclass(frozen=True)
class PatchSet:
    """Labelled patches in memory, and the regions they were cut from.

    A patch is an image cut from a slide. `groups` says which slide, region or patient each patch comes from,
    so that splits never cross it.
    """

    images: Tensor
    """`(N, 3, H, W)` uint8, RGB."""
    labels: Tensor
    """`(N,)` int64, an index into `classes`; all 0 where nothing is known."""
    groups: Tensor
    """`(N,)` int64, slide, region or patient; one group a patch where nothing is known."""
    classes: tuple[str, ...]
    """Class names; one name where the patches are unlabelled."""
    regions: Tensor | None = None
    """`(M, 3, H, W)` uint8: whole slides or regions resized to the patch size (stage 1); `None` without."""
    region_labels: Tensor | None = None
    """`(M,)` int64, the most frequent class of each region."""
    region_groups: Tensor | None = None
    """`(M,)` int64, the group each region is an overview of."""

    @classmethod
    def unlabelled(cls, images: Tensor) -> PatchSet:
        """Return images, `(N, 3, H, W)` uint8, of which nothing is known: one class, and a group each."""
        n = len(images)
        return cls(images, torch.zeros(n, dtype=torch.int64), torch.arange(n), (UNLABELLED,))

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.images)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.images.shape[2], self.images.shape[3]

    def subset(self, index: Tensor) -> PatchSet:
        """Return the patches at `index`, `(K,)` int64, and only the regions of their groups."""
        groups = self.groups[index]
        chosen = PatchSet(self.images[index], self.labels[index], groups, self.classes)
        if self.regions is None or self.region_labels is None or self.region_groups is None:
            return chosen
        kept = torch.isin(self.region_groups, groups)
        return replace(
            chosen,
            regions=self.regions[kept],
            region_labels=self.region_labels[kept],
            region_groups=self.region_groups[kept],
        )

    def split(self, fraction: float, seed: int) -> tuple[PatchSet, PatchSet]:
        """Split by group into (rest, held out), the second with about `fraction` of the patches.

        Args:
            fraction: share of patches held out, in (0, 1).
            seed: seed of the private generator that orders the groups.

        Raises:
            ValueError: if there is only one group, so that nothing can be held out without leakage.
        """
        groups = torch.unique(self.groups)
        if len(groups) < 2:
            raise ValueError(
                "cannot split: all patches belong to one group (slide or patient); "
                "add patches from another one"
            )
        held = held_out_groups(self.groups, fraction, seed)
        index = torch.arange(len(self))
        return self.subset(index[~held]), self.subset(index[held])


def held_out_groups(groups: Tensor, fraction: float, seed: int) -> Tensor:
    """Draw whole groups until about `fraction` of the patches is held out; `(N,)` bool, true where held out.

    A group that would bring the share above `OVERSHOOT` times `fraction` is passed over; where that leaves
    none, the smallest group is held out. One group at least stays.

    Args:
        groups: `(N,)` int64, the group of each patch; at least two groups.
        fraction: share of patches held out, in (0, 1).
        seed: seed of the private generator that orders the groups.
    """
    found, sizes = torch.unique(groups, return_counts=True)
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    walk = list(zip(found[order].tolist(), sizes[order].tolist(), strict=True))
    wanted = torch.tensor(fraction * len(groups), dtype=torch.float32).item()  # 0.7 of 10 is 7, no more
    held: list[int] = []
    n_held = 0
    for group, size in walk:
        if n_held >= wanted or len(held) == len(walk) - 1:
            break
        if n_held + size <= max(OVERSHOOT * wanted, wanted + 1):  # a single patch is never too many
            held.append(group)
            n_held += size
    if not held:
        held = [min(walk, key=lambda entry: entry[1])[0]]
    return torch.isin(groups, torch.tensor(held))
