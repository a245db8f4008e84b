"""The second half of an autoencoder: from a backbone's deepest feature map back to the image."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from snn.backbones import Backbone

MIN_WIDTH = 16
"""Fewest channels of a layer."""
_PROBE = 64


class Decoder(nn.Module):
    """Turn feature maps into images, mirroring a VGG: half the channels at twice the size, step by step.

    Each step is a 3 × 3 convolution, a ReLU and nearest-neighbour enlargement (Odena et al. 2016,
    https://distill.pub/2016/deconv-checkerboard, on why not transposed convolution); a last convolution and
    a hyperbolic tangent give the pixels. There are no skip connections: all that is known of the image has to
    pass through the map.

    Args:
        n_channels: C, channels of the map.
        n_doublings: how often the encoder halves the size.
        seed: seed of the weights; the global random state is left alone.

    Example:
        >>> decoder = Decoder(256, 2)
        >>> decoder(torch.zeros(4, 256, 8, 8), (32, 32)).shape
        torch.Size([4, 3, 32, 32])
    """

    def __init__(self, n_channels: int, n_doublings: int, seed: int = 0) -> None:
        super().__init__()
        widths = [n_channels] + [max(n_channels // 2**k, MIN_WIDTH) for k in range(1, n_doublings + 1)]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed also seeds GPUs
            self.steps = nn.ModuleList(
                nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
            )
            self.pixels = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    @classmethod
    def mirroring(cls, backbone: Backbone, seed: int = 0) -> Decoder:
        """Return a decoder for the deepest feature map of `backbone`.

        Raises:
            ValueError: if timm's network gives no feature maps.
        """
        side = backbone.fixed_size[0] if backbone.fixed_size is not None else _PROBE
        device = next(backbone.parameters()).device
        with torch.no_grad():
            _, n_channels, height, _ = backbone.deepest(torch.zeros(1, 3, side, side, device=device)).shape
        return cls(n_channels, max(round(side / height).bit_length() - 1, 0), seed)

    def forward(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return images `(N, 3, *size)` in [-1, 1] of feature maps `(N, C, h, w)`."""
        for left, step in zip(reversed(range(len(self.steps))), self.steps, strict=True):
            grown = tuple(-(-side // 2**left) for side in size)  # ends at the size, whatever it is
            code = interpolate(torch.relu(step(code)), grown, mode="nearest")
        if code.shape[2:] != size:
            code = interpolate(code, size, mode="nearest")
        return torch.tanh(self.pixels(code))
