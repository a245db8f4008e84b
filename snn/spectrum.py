"""What an image looks like to no network: its power spectrum and its mean colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

N_BANDS = 16
"""Bands between the lowest frequency and the highest, one cycle in two pixels."""
_BATCH = 64
"""Images transformed at a time, so that memory does not grow with their number."""
_FAINT = 1e-3  # power below which a band counts as empty, of images in [-1, 1]


class Spectrum(nn.Module):
    """The radially averaged log power spectrum of each channel and the mean colour, standardised.

    Generated images are known by their spectra (Durall et al. 2020, https://arxiv.org/abs/2003.01826), and
    images that were made to please a network carry its patterns in theirs.

    Args:
        real: float `(N, 3, H, W)` in [-1, 1], at least 2; they set mean and standard deviation.

    Example:
        >>> x = torch.rand(8, 3, 32, 32)
        >>> Spectrum(x)(x).shape
        torch.Size([8, 51])
    """

    _mean: Tensor
    _deviation: Tensor

    def __init__(self, real: Tensor) -> None:
        super().__init__()
        if real.ndim != 4 or real.shape[1] != 3 or len(real) < 2:
            raise ValueError(
                f"real images have shape {tuple(real.shape)}; (N, 3, H, W) with N >= 2 is needed"
            )
        features = _statistics(real)
        self.register_buffer("_mean", features.mean(dim=0))
        self.register_buffer("_deviation", features.std(dim=0).clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Return features `(N, 3 * N_BANDS + 3)` of images `x`, float `(N, 3, H, W)` in [-1, 1]."""
        features: Tensor = (_statistics(x) - self._mean) / self._deviation
        return features


def _statistics(x: Tensor) -> Tensor:
    return torch.cat([_statistics_of_batch(batch) for batch in torch.split(x, _BATCH)])


def _statistics_of_batch(x: Tensor) -> Tensor:
    colour = x.mean(dim=(2, 3))
    power = torch.fft.rfft2(x - colour[:, :, None, None], norm="ortho").abs().square().flatten(2)
    band = _bands(x.shape[2], x.shape[3]).to(x.device)
    sums = power.new_zeros(*power.shape[:2], N_BANDS).index_add(2, band, power)
    mean = sums / torch.bincount(band, minlength=N_BANDS).clamp_min(1)
    return torch.cat([torch.log(mean + _FAINT).flatten(1), colour], dim=1)


def _bands(height: int, width: int) -> Tensor:
    """Return the band of each frequency of a real Fourier transform, flat; corners join the last.

    A band reaches to and includes its highest frequency.
    """
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]
    radius: Tensor = (rows.square() + columns.square()).sqrt()
    return (radius * 2 * N_BANDS - 1e-3).long().clamp(0, N_BANDS - 1).flatten()
