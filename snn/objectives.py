"""What a stage minimises: a loss on pairs of embeddings, or the error of an autoencoder's reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import mse_loss

from snn.decoder import Decoder
from snn.losses import make_loss
from snn.pairs import PairBatch
from snn.siamese import SiameseNet
from snn.stages import Stage


class Objective(Protocol):
    """The loss of a stage, and what is trained above the backbone."""

    top: list[Parameter]
    """The head's or the decoder's parameters, which are trained from the first step on."""

    def loss(self, batch: PairBatch) -> Tensor:
        """Return the loss of a batch."""
        ...


class PairObjective:
    """Two views of an image are similar, everything else is not; classes, where known, refine that."""

    def __init__(self, model: SiameseNet, stage: Stage, device: str) -> None:
        self.top = list(model.head.parameters())
        self._model, self._stage, self._device = model, stage, device
        self._loss = make_loss(
            stage.loss, margin=stage.margin, temperature=stage.temperature, miner=stage.miner
        )

    def loss(self, batch: PairBatch) -> Tensor:
        """Return the loss of a batch of pairs."""
        embeddings = self._model(batch.views.to(self._device))
        return pair_loss(self._loss, embeddings, batch, self._stage.label_weight)


class ReconstructionObjective:
    """Backbone and decoder are an autoencoder: mean squared error of pixels in [-1, 1].

    Needs no labels and no weights to begin from. Normalisation layers keep their running statistics here as
    in every stage; in a backbone of random weights these are zero and one, so that such a layer is a scale
    and a shift for each channel, which are learned.

    Args:
        model: its backbone is the encoder, which sees images as embedding shows them to it.
        device: where the model is.
        seed: seed of the decoder's weights.
    """

    def __init__(self, model: SiameseNet, device: str, seed: int) -> None:
        self._decoder = Decoder.mirroring(model.backbone, seed).to(device)
        self.top = list(self._decoder.parameters())
        self._model, self._device = model, device

    def loss(self, batch: PairBatch) -> Tensor:
        """Return the error over a batch without damaged views."""
        x = self._model.enlarged(batch.views.to(self._device))
        height, width = x.shape[2:]
        return mse_loss(self._decoder(self._model.backbone.deepest(x), (height, width)), x)


def make_objective(model: SiameseNet, stage: Stage, device: str, seed: int) -> Objective:
    """Return what `stage` asks for."""
    if stage.objective == "reconstruction":
        return ReconstructionObjective(model, device, seed)
    return PairObjective(model, stage, device)


def pair_loss(
    loss: Callable[[Tensor, Tensor], Tensor], embeddings: Tensor, batch: PairBatch, label_weight: float
) -> Tensor:
    """Return the loss on instances plus, where labels are known, `label_weight` times the loss on classes."""
    total = loss(embeddings, batch.instance.to(embeddings.device))
    if batch.labels is not None and label_weight > 0:
        labels = batch.labels.to(embeddings.device)
        total = total + label_weight * loss(embeddings[: len(labels)], labels)
    return total
