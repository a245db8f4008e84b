"""Downstream use: does a classifier trained on generated patches recognise real ones?"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from gan_gym.data.patches import PatchSet, held_out_groups
from gan_gym.metrics.metric import Metric
from gan_gym.randomness import generator, stream_seed

DOWNSTREAM = ("downstream_synthetic", "downstream_real", "downstream_both")
"""Keys of these metrics."""
MIN_PER_CLASS = 10
"""Fewer patches of a class to train on, or to test on, say nothing."""
STRENGTH = 0.01
"""Inverse regularisation of the probe (scikit-learn's C) on standardised features."""
N_RESAMPLES = 200


def downstream(x: Tensor, y: Tensor, real: PatchSet, fake: PatchSet, *, seed: int = 0) -> dict[str, Metric]:
    """Train a classifier on generated, on real and on both kinds of patches; test it on held-out real ones.

    The classifier is a logistic regression on frozen features. Half of the real patches is held out, by
    slide or patient where these are known, and half of each class elsewhere. The figures are balanced
    accuracies (the mean of the classes' recalls) on that half: chance is 1 / number of classes. Synthetic
    near real means that the generators have kept what tells the classes apart; both above real, that they
    help. In both, all patches weigh alike, so a large generated set outweighs the real one.

    The intervals are bootstraps over the patients or slides of the test half. They hold neither the chance
    of the split nor that of the training.

    Args:
        x: `(N, D)` features of the real patches.
        y: `(M, D)` features of the generated patches.
        real: the real patches, for labels and groups.
        fake: the generated patches, with the same classes: one GAN for each.
        seed: seed of the split and of the intervals.

    References:
        Esteban et al. 2017, https://arxiv.org/abs/1706.02633 (train on synthetic, test on real); Ravuri and
        Vinyals 2019, https://arxiv.org/abs/1905.10887 (classification accuracy score).
    """
    known = 1 < len(torch.unique(real.groups)) < len(real)
    if known:
        held, units = held_out_groups(real.groups, 0.5, stream_seed(seed, "downstream")), real.groups
    else:
        held, units = _half_of_each(real.labels, seed), torch.arange(len(real))
    reason = _why_not(real, fake, held)
    if reason is not None:
        return {key: Metric.missing(reason) for key in DOWNSTREAM}
    train = {
        "downstream_synthetic": (y, fake.labels),
        "downstream_real": (x[~held], real.labels[~held]),
        "downstream_both": (torch.cat([x[~held], y]), torch.cat([real.labels[~held], fake.labels])),
    }
    truth, unit = real.labels[held].numpy(), np.unique(units[held].numpy(), return_inverse=True)[1]
    figures = {}
    for key, (features, labels) in train.items():
        right = _predict(features, labels, x[held]) == truth
        value, low, high = _balanced_accuracy(right, truth, unit, seed)
        figures[key] = Metric.share(value, low, high, len(truth)).with_details(
            chance=1 / len(real.classes),
            n_classifier=len(labels),
            n_test=len(truth),
            split_test="by slide or patient" if known else "at random",
        )
    return figures


def _half_of_each(labels: Tensor, seed: int) -> Tensor:
    """Draw half of the patches of each class, `(N,)` bool."""
    draw, held = generator(seed, "downstream"), torch.zeros(len(labels), dtype=torch.bool)
    for label in torch.unique(labels):
        index = (labels == label).nonzero()[:, 0]
        held[index[torch.randperm(len(index), generator=draw)[: len(index) // 2]]] = True
    return held


def _why_not(real: PatchSet, fake: PatchSet, held: Tensor) -> str | None:
    """Return why there is nothing to classify, or `None`."""
    if real.classes != fake.classes or len(real.classes) < 2:
        ours, theirs = (
            " ".join(side.classes[:5]) + (" ..." if len(side.classes) > 5 else "") for side in (real, fake)
        )
        return (
            f"needs the same two or more class folders on both sides; real: {ours}; generated: {theirs}; "
            "train one GAN a class and generate into FAKES/CLASS"
        )
    parts = {
        "real patches to train on": real.labels[~held],
        "held-out real patches": real.labels[held],
        "generated patches": fake.labels,
    }
    for what, labels in parts.items():
        counts = torch.bincount(labels, minlength=len(real.classes))
        if (least := int(counts.min())) < MIN_PER_CLASS:
            return (
                f"needs at least {MIN_PER_CLASS} patches of each class everywhere; class "
                f"{real.classes[int(counts.argmin())]} has {least} {what}"
            )
    return None


def _predict(features: Tensor, labels: Tensor, test: Tensor) -> NDArray[np.int64]:
    """Train the probe and return the classes that it gives to the test patches."""
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 500 steps are as good as the optimum
        probe.fit(features.double().numpy(), labels.numpy())
    predicted: NDArray[np.int64] = probe.predict(test.double().numpy())
    return predicted


def _balanced_accuracy(
    right: NDArray[np.bool_], truth: NDArray[np.int64], unit: NDArray[np.int64], seed: int
) -> tuple[float, float, float]:
    """Return balanced accuracy and its bootstrap interval; `unit` numbers the patients or slides."""
    n_units = int(unit.max()) + 1
    draw = generator(seed, "downstream", 1)
    drawn = torch.randint(n_units, (N_RESAMPLES, n_units), generator=draw)
    counts = torch.stack([torch.bincount(row, minlength=n_units) for row in drawn]).double().numpy()
    weights = np.concatenate([np.ones((1, n_units)), counts])[:, unit]
    recalls = []
    for label in np.unique(truth):
        of_class = weights * (truth == label)
        total = of_class.sum(1)
        recalls.append(np.where(total > 0, (of_class * right).sum(1) / np.maximum(total, 1), np.nan))
    accuracy = np.nanmean(recalls, axis=0)
    return (float(accuracy[0]), *np.quantile(accuracy[1:], [0.025, 0.975]).tolist())
