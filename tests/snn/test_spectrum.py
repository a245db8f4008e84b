from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from snn.spectrum import N_BANDS, Spectrum


def images(n: int, seed: int, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def wave(cycles: int, size: int = 32) -> torch.Tensor:
    row = torch.cos(2 * math.pi * cycles * torch.arange(size) / size)
    return row.expand(1, 3, size, size)


def test_features_equal_a_plain_reference() -> None:
    real, x = images(30, 0), images(2, 1)

    def plain(image: np.ndarray) -> np.ndarray:
        colour = image.mean(axis=(1, 2))
        power = np.abs(np.fft.rfft2(image - colour[:, None, None])) ** 2 / (32 * 32)
        found: list[list[float]] = [[[] for _ in range(N_BANDS)] for _ in range(3)]  # type: ignore[misc]
        for c in range(3):
            for i in range(32):
                for j in range(17):
                    radius = math.hypot(np.fft.fftfreq(32)[i], np.fft.rfftfreq(32)[j])
                    found[c][min(max(math.ceil(radius * 2 * N_BANDS - 1e-3) - 1, 0), N_BANDS - 1)].append(
                        power[c, i, j]
                    )  # type: ignore[attr-defined]
        bands = [math.log(np.mean(band) + 1e-3) for channel in found for band in channel]
        return np.array([*bands, *colour])

    reference = np.stack([plain(image.numpy()) for image in real])
    expected = (np.stack([plain(image.numpy()) for image in x]) - reference.mean(0)) / reference.std(
        0, ddof=1
    )
    assert Spectrum(real)(x).numpy() == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("cycles", [3, 9, 15])
def test_a_wave_stands_out_in_its_own_band(cycles: int) -> None:
    real = images(100, 0)
    spectrum = Spectrum(real)
    change = (spectrum(real[:1] * 0.5 + wave(cycles)) - spectrum(real[:1] * 0.5))[0, :N_BANDS]
    assert int(change.argmax()) == cycles - 1


def test_moving_and_mirroring_change_nothing() -> None:
    spectrum, x = Spectrum(images(50, 0, (24, 40))), images(4, 1, (24, 40))
    for other in (x.roll((5, 7), dims=(2, 3)), x.flip(3), x.flip(2)):
        assert torch.allclose(spectrum(other), spectrum(x), atol=1e-3)


def test_real_images_are_standardised_and_gradients_flow() -> None:
    real = images(200, 0)
    spectrum = Spectrum(real)
    features = spectrum(real)
    assert features.mean(0).abs().max() < 1e-3
    assert (features.std(0) - 1).abs().max() < 1e-2
    x = images(2, 3).requires_grad_()
    torch.autograd.backward(spectrum(x).sum())
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_many_images_are_transformed_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    real, x = images(200, 0), images(150, 1)
    at_once: list[int] = []

    def transform(x: torch.Tensor, **kwargs: str) -> torch.Tensor:
        at_once.append(len(x))
        return rfft2(x, **kwargs)

    rfft2 = torch.fft.rfft2
    monkeypatch.setattr(torch.fft, "rfft2", transform)
    together = Spectrum(real)(x)
    assert max(at_once) <= 64
    assert sum(at_once) == 350
    monkeypatch.setattr("snn.spectrum._BATCH", 200)
    assert torch.allclose(together, Spectrum(real)(x), atol=1e-5)
    assert max(at_once) == 200


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="N >= 2"):
        Spectrum(images(1, 0))
