"""Stacked digits: images with 1,000 countable modes, from scikit-learn's 8 x 8 handwritten digits.

The protocol is that of Stacked MNIST (Metz et al. 2017, https://arxiv.org/abs/1611.02163): three digits drawn
independently are the red, green and blue channel, and the mode is the number they make.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load
from torch import Tensor, nn

from gan_gym.data.modes import Modes, summarise
from gan_gym.data.patches import PatchSet

N_MODES = 1000
CLASSIFIER = Path(__file__).with_name("digits_classifier.safetensors")
"""Weights of the shipped classifier; a `.json` of the same name holds their sha256 and origin."""

_SURE = 0.9
_AT_A_TIME = 1024  # samples the classifier reads at a time, to bound its memory


@lru_cache(maxsize=2)
def single_digits(split: Literal["train", "heldout"]) -> tuple[Tensor, Tensor]:
    """Return digits `(M, 8, 8)` uint8 and their values `(M,)` int64 of one half; the halves share none.

    Args:
        split: `"train"` is what GANs and reward models see, `"heldout"` what the mode classifier is fitted
            on.

    Raises:
        ValueError: for another split.
    """
    if split not in ("train", "heldout"):
        raise ValueError(f"split={split!r}; allowed are 'train' and 'heldout'")
    from sklearn.datasets import load_digits  # slow to import, and not needed to count modes

    found = load_digits()
    images = torch.from_numpy(found.images).mul(255 / 16).round().to(torch.uint8)
    values = torch.from_numpy(found.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    half = order[: len(order) // 2] if split == "train" else order[len(order) // 2 :]
    return images[half], values[half]


def stacked_digits(n: int, seed: int, split: Literal["train", "heldout"] = "train") -> PatchSet:
    """Stack `n` random triples of digits as the channels of one image.

    Args:
        n: number of images.
        seed: seed of the draw.
        split: which half of the digits they come from.

    Returns:
        Images `(n, 3, 8, 8)`; the label is the number of the three digits, 0 to 999, first digit red.

    Raises:
        ValueError: if `n` is not positive or the split is unknown.
    """
    if n < 1:
        raise ValueError(f"n={n}; at least 1 image must be asked for")
    images, values = single_digits(split)
    index = torch.randint(len(images), (n, 3), generator=torch.Generator().manual_seed(seed))
    return PatchSet(
        images=images[index],
        labels=values[index] @ torch.tensor([100, 10, 1]),
        groups=torch.arange(n),
        classes=tuple(f"{mode:03d}" for mode in range(N_MODES)),
    )


class DigitClassifier(nn.Module):
    """A small network that reads one digit; applied to each channel, it names the mode of a stacked digit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(768, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, 10)` of single digits, float `(N, 1, 8, 8)` in [-1, 1]."""
        logits: Tensor = self.layers(x)
        return logits

    @torch.inference_mode()
    def classify(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return each stacked digit's mode `(N,)` and how sure its least sure channel is, `(N,)` in [0, 1].

        Args:
            samples: float `(N, 3, 8, 8)` in [-1, 1].
        """
        logits = self(samples.flatten(0, 1)[:, None]).unflatten(0, (-1, 3))
        sure, digit = logits.softmax(dim=2).max(dim=2)
        red, green, blue = digit.unbind(dim=1)
        return 100 * red + 10 * green + blue, sure.amin(dim=1)

    def count_modes(self, samples: Tensor) -> list[Modes]:
        """Count modes as for Stacked MNIST: every sample counts for the mode it is classified as.

        Args:
            samples: float `(n, N, 3, 8, 8)` in [-1, 1], n sets of samples; the protocol has 26,000 in each.

        Returns:
            For each set, modes with at least 1 and with at least 20 samples, and the share of samples with
            three sure digits (probability of at least 0.9 each).
        """
        parts = [self.classify(part) for part in torch.split(samples.flatten(0, 1), _AT_A_TIME)]
        mode, sure = (torch.cat(each).view(samples.shape[:2]) for each in zip(*parts, strict=True))
        first = N_MODES * torch.arange(len(mode), device=mode.device)[:, None]
        counts = torch.bincount((first + mode).flatten(), minlength=N_MODES * len(mode)).view(-1, N_MODES)
        return summarise(counts, (sure >= _SURE).float().mean(dim=1))


@lru_cache(maxsize=2)
def load_digit_classifier(device: torch.device | str = "cpu") -> DigitClassifier:
    """Load the classifier that ships to a device; it was fitted on the held-out half only.

    Raises:
        ValueError: if the file is damaged.
    """
    description = json.loads(CLASSIFIER.with_suffix(".json").read_text())
    weights = CLASSIFIER.read_bytes()
    if hashlib.sha256(weights).hexdigest() != description["sha256"]:
        raise ValueError(f"{CLASSIFIER} does not match its sha256; install the package again")
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and thrown away
        model = DigitClassifier()
    model.load_state_dict({key: value.float() for key, value in load(weights).items()})
    return model.to(device).eval().requires_grad_(False)
