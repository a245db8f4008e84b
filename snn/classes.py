"""Partners of the same and of other classes, drawn without loops."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


class ClassIndex:
    """Images sorted by class, so that partners of any image are found by arithmetic.

    Args:
        labels: `(N,)` integers.
    """

    def __init__(self, labels: Tensor) -> None:
        classes, position = torch.unique(labels.cpu(), return_inverse=True)
        counts = torch.bincount(position, minlength=len(classes))
        self.order: Tensor = position.argsort(stable=True)
        self.n_classes = len(classes)
        self.size: Tensor = counts[position]
        """`(N,)` how many images each image's class has."""
        self.start: Tensor = (counts.cumsum(0) - counts)[position]
        """`(N,)` where each image's class begins in `order`."""
        self.rank = torch.empty_like(self.order)
        self.rank[self.order] = torch.arange(len(self.order)) - self.start[self.order]

    def same(self, index: Tensor, generator: Generator) -> Tensor:
        """Return another image of the class of each image of `index`; the image itself where it is alone."""
        size = self.size[index]
        step = 1 + (torch.rand(len(index), generator=generator) * (size - 1)).long()
        return self.order[self.start[index] + (self.rank[index] + step) % size]

    def other(self, index: Tensor, generator: Generator) -> Tensor:
        """Return an image of another class for each image of `index`; there must be two classes."""
        rest = len(self.order) - self.size[index]
        place = (torch.rand(len(index), generator=generator) * rest).long()
        return self.order[torch.where(place >= self.start[index], place + self.size[index], place)]
