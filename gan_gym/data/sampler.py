"""Batches of patches from memory."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images to floats in [-1, 1]."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """Map floats in [-1, 1] to uint8 images, rounding to the nearest level."""
    return ((images.detach() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class PatchSampler:
    """Patches drawn with replacement and mirrored at random; fits the trainer's `Source`.

    Tissue has no preferred side, so mirroring doubles the data at no cost.

    Args:
        images: `(N, 3, H, W)` uint8 patches; left where they are and not copied.
        mirror: whether half of the patches are mirrored left to right.
    """

    def __init__(self, images: Tensor, *, mirror: bool = True) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) == 0:
            raise ValueError(
                f"images are {images.dtype} of shape {tuple(images.shape)}; "
                "give uint8 of shape (N, 3, H, W), N >= 1"
            )
        self.images, self.mirror = images, mirror
        self.shape = tuple(images.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where the patches lie."""
        return self.images.device

    def batch(self, n: int, rng: torch.Generator) -> Tensor:
        """Return `(n, 3, H, W)` patches in [-1, 1]."""
        return self.take(*(draw.to(self.images.device) for draw in self.draw(n, rng)))

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, ...]:
        """Draw which patches, and with `mirror` which of them are mirrored, `(n,)` each."""
        index = torch.randint(len(self.images), (n,), generator=rng)
        return (index, torch.rand(n, generator=rng) < 0.5) if self.mirror else (index,)

    def take(self, index: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return the drawn patches; draws `(..., n)` on the images' device give `(..., n, 3, H, W)`."""
        patches = to_float(self.images[index])
        if mirrored is None:
            return patches
        return torch.where(mirrored[..., None, None, None], patches.flip(-1), patches)
