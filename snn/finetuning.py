"""Multistage progressive fine-tuning of the Siamese network (MFT-SNN)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm.auto import tqdm

from snn.evaluation import evaluate
from snn.moments import moments_of, restore_moments
from snn.objectives import Objective, make_objective
from snn.pairs import PairSampler
from snn.siamese import SiameseNet
from snn.stages import DEFAULT_STAGES, Stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HistoryRow:
    """One optimizer step."""

    stage: str
    """Name of the stage."""
    step: int
    """Steps since the beginning of the first stage."""
    loss: float
    """The stage's loss, before the step."""
    auc: float | None
    """Verification AUC on the validation images, before the step; `None` where it was not measured."""
    n_trainable: int
    """How many parameters this step trains."""


@dataclass
class History:
    """All steps of a fine-tuning, in order."""

    rows: list[HistoryRow] = field(default_factory=list)
    """One row a step."""
    final_auc: float | None = None
    """Verification AUC after the last step; `None` without validation images."""

    def as_dicts(self) -> list[dict[str, str | int | float | None]]:
        """Return the rows as JSON-able dictionaries."""
        return [asdict(row) for row in self.rows]


@dataclass(frozen=True)
class FitState:
    """Where a fine-tuning stands between two steps: enough to go on as if it had never stopped."""

    tensors: dict[str, Tensor]
    """Weights and the optimizer's moments, by name."""
    values: dict[str, Any]
    """JSON-able: the stage, the step in it, and the history so far."""


def finetune(
    model: SiameseNet,
    images: Tensor,
    *,
    labels: Tensor | None = None,
    regions: Tensor | None = None,
    region_labels: Tensor | None = None,
    stages: Sequence[Stage] = DEFAULT_STAGES,
    validation: tuple[Tensor, Tensor | None] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
    on_step: Callable[[HistoryRow], None] | None = None,
    start: FitState | None = None,
    keep: Callable[[FitState], None] | None = None,
    keep_every: int = 100,
) -> History:
    """Fit `model` in place, stage by stage, unfreezing the backbone from its head downwards within each.

    A stage with the objective `"reconstruction"` trains the backbone as the encoder of an autoencoder
    instead; its loss in the history is the error of pixels, and `n_trainable` counts the decoder.

    Normalisation layers keep their running statistics throughout. Equal seeds give equal weights on the CPU.

    Args:
        model: is moved to `device`.
        images: patches, uint8 `(N, 3, H, W)`.
        labels: `(N,)` int64 classes of the patches, which only refine the embedding. An image alone in its
            class is told apart as an image; where no class has two images, or there is one class only, labels
            say nothing and are left out.
        regions: slides or regions resized, uint8 `(M, 3, H, W)`; without them their stages are left out.
        region_labels: `(M,)` int64.
        stages: in order.
        validation: held-out images and their labels (or `None`): measured before each unfreezing and at the
            end.
        seed: of everything random here.
        device: where the network is trained.
        progress: whether a progress bar is shown.
        on_step: called with each row of the history as it is made.
        start: where to go on, given the same model, data, stages and seed; `None` begins.
        keep: called every `keep_every` steps with where the fine-tuning stands.
        keep_every: steps.

    Raises:
        ValueError: if there are fewer than two images or shapes disagree, or `start` is of another
            fine-tuning.
        FloatingPointError: if the loss is not finite.
    """
    _check(images, labels, "images")
    labels = _told_apart(labels)
    if regions is not None:
        _check(regions, region_labels, "regions")
        region_labels = _told_apart(region_labels)
    plan = [stage for stage in stages if stage.source == "patches" or regions is not None]
    if not plan:
        raise ValueError("no stage is left: give stages on patches, or regions for the stages on regions")
    for stage in stages:
        if stage not in plan:
            logger.info("stage %r is left out: there are no slides or regions to fit it on", stage.name)
    model.to(device).eval()  # eval: frozen running statistics, no dropout; gradients still flow
    history = History() if start is None else History([HistoryRow(**row) for row in start.values["rows"]])
    bar = tqdm(
        total=sum(stage.n_steps for stage in plan),
        initial=len(history.rows),
        desc="fit MFT-SNN",
        unit="step",
        disable=not progress,
    )
    first = 0 if start is None else int(start.values["stage"])
    with bar:
        for number, stage in enumerate(plan[first:], first):
            source = images, labels
            if stage.source == "regions":
                assert regions is not None
                source = regions, region_labels
            sampler = PairSampler(*source, _as_drawn(stage), (seed, number))
            objective = make_objective(model, stage, device, seed)
            fit = _StageFit(model, stage, sampler, objective, validation, seed, device)
            if start is not None and number == first:
                fit.restore(start)
            while fit.step < stage.n_steps:
                row = fit.train(len(history.rows))
                history.rows.append(row)
                bar.update()
                bar.set_postfix_str(f"{stage.name}, loss {row.loss:.3f}", refresh=False)
                if on_step is not None:
                    on_step(row)
                if keep is not None and len(history.rows) % keep_every == 0:
                    keep(fit.state(number, history))
    model.requires_grad_(True)
    if validation is not None:
        history.final_auc = _validate(model, validation, plan[-1], seed, device)
    return history


def trainable_units(
    model: SiameseNet, share: float, top: list[torch.nn.Parameter] | None = None
) -> list[list[torch.nn.Parameter]]:
    """Return the parameters above the backbone and of the first `share` of its units, from the output down.

    Args:
        model: what is trained.
        share: of the backbone's units.
        top: what is above the backbone, the head unless given.
    """
    units = model.backbone.units()
    above = list(model.head.parameters()) if top is None else top
    return [above, *units[: math.ceil(share * len(units) - 1e-9)]]


class _StageFit:
    """One stage under way."""

    def __init__(
        self,
        model: SiameseNet,
        stage: Stage,
        sampler: PairSampler,
        objective: Objective,
        validation: tuple[Tensor, Tensor | None] | None,
        seed: int,
        device: str,
    ) -> None:
        self.model, self.stage, self.sampler, self.objective = model, stage, sampler, objective
        self.validation, self.seed, self.device = validation, seed, device
        self.step = 0
        every = trainable_units(model, 1.0, objective.top)
        self._rates = [stage.lr * stage.layer_decay**depth for depth in range(len(every))]
        self._optimizer = torch.optim.AdamW(
            [{"params": unit, "lr": rate} for unit, rate in zip(every, self._rates, strict=True)],
            weight_decay=1e-4,
        )
        self._share = -1.0
        self._trained: list[torch.nn.Parameter] = []

    def train(self, n_before: int) -> HistoryRow:
        """Do one step; `n_before` were done since the beginning of the first stage."""
        stage, auc = self.stage, None
        if stage.unfrozen_share(self.step) != self._share:
            self._unfreeze(stage.unfrozen_share(self.step))
            if self.validation is not None:
                auc = _validate(self.model, self.validation, stage, self.seed, self.device)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * _schedule((self.step + 1) / stage.n_steps)
        loss = self.objective.loss(self.sampler.batch(self.step))
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(
                f"the loss of stage {stage.name!r} is {value} at step {self.step}; lower its "
                f"lr={stage.lr} or begin from other weights"
            )
        self._optimizer.zero_grad(set_to_none=True)  # frozen parameters have no gradient and are skipped
        torch.autograd.backward(loss)
        clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self.step += 1
        return HistoryRow(stage.name, n_before, value, auc, sum(p.numel() for p in self._trained))

    def state(self, number: int, history: History) -> FitState:
        """Return copies of all that the next steps depend on."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"top/{i}": parameter for i, parameter in enumerate(self.objective.top)}
        tensors |= moments_of(self._optimizer)
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        return FitState(copies, {"stage": number, "step": self.step, "rows": history.as_dicts()})

    def restore(self, state: FitState) -> None:
        """Go to where another fit of this stage stood.

        Raises:
            ValueError: if that one had other weights.
        """
        prefix = "model/"
        own = {name: tensor for name, tensor in state.tensors.items() if name.startswith(prefix)}
        weights = {name.removeprefix(prefix): tensor for name, tensor in own.items()}
        try:
            self.model.load_state_dict(weights)
            with torch.no_grad():
                for i, parameter in enumerate(self.objective.top):
                    parameter.copy_(state.tensors[f"top/{i}"])
            restore_moments(self._optimizer, state.tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f"the fit that was stopped had another network ({error}); begin anew") from error
        self.step = int(state.values["step"])
        self._unfreeze(self.stage.unfrozen_share(self.step - 1))

    def _unfreeze(self, share: float) -> None:
        self._share = share
        self.model.requires_grad_(False)
        self._trained = [p for unit in trainable_units(self.model, share, self.objective.top) for p in unit]
        for parameter in self._trained:
            parameter.requires_grad_(True)


def _validate(
    model: SiameseNet, validation: tuple[Tensor, Tensor | None], stage: Stage, seed: int, device: str
) -> float:
    images, labels = validation
    return evaluate(
        model,
        images,
        labels,
        seed=seed,
        device=device,
        shift=stage.shift,
        flips=stage.flips,
        stain_jitter=stage.stain_jitter,
    ).auc


def _as_drawn(stage: Stage) -> Stage:
    """Return the stage for the sampler: reconstruction wants neither damaged views nor partners by class."""
    return stage if stage.objective == "siamese" else replace(stage, degraded=0.0, label_weight=0.0)


def _told_apart(labels: Tensor | None) -> Tensor | None:
    """Return labels that can refine the embedding: two classes at least, one of them with two images."""
    if labels is None:
        return None
    counts = torch.unique(labels, return_counts=True)[1]
    return labels if len(counts) > 1 and int(counts.max()) > 1 else None


def _schedule(done: float) -> float:
    """Return the share of the peak learning rate: a linear rise over a tenth, then a cosine to zero."""
    return min(done / 0.1, 0.5 * (1 + math.cos(math.pi * max(done - 0.1, 0) / 0.9)))


def _check(images: Tensor, labels: Tensor | None, name: str) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise ValueError(f"{name} must be uint8 (N, 3, H, W); got {images.dtype} {tuple(images.shape)}")
    if len(images) < 2:
        raise ValueError(f"{len(images)} {name} make no dissimilar pair; give at least 2")
    if labels is not None and labels.shape != (len(images),):
        raise ValueError(f"labels of shape {tuple(labels.shape)} do not fit {len(images)} {name}")
