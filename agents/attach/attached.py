"""A controller that turns the knobs of a training loop which is not this package's own."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

import gan_gym.knobs
from agents.attach.comparisons import Embed, Range
from agents.attach.dials import Dials, check_knobs, owned
from agents.attach.disturbance import Disturbance
from agents.attach.movement import Movement
from agents.attach.notices import Notices
from agents.attach.optimizers import TurnedOptimizer
from agents.attach.penalty import Penalty
from agents.attach.progress import Progress
from agents.attach.record import Record
from agents.attach.samples import Samples
from gan_gym.gan import LOSSES, Statistics
from gan_gym.names import lookup
from gan_gym.observations import Signals, observe
from gan_gym.rewards import Similarity, as_row

if TYPE_CHECKING:
    from agents.controller import Controller

N_DECISIONS = 40
"""Decisions of a run whose cadence is not given, as in the environments."""
N_MEASURED = 5
"""Steps of a block whose gradients and weight changes are measured, as in environments of points."""


class AttachedController:
    """A controller in a loop of the user's own; made by `Controller.attach`.

    The loop calls `step` once for every update of both networks, after both optimizers have stepped, with
    what it has at hand. Every `steps_per_decision` calls the controller sees what it would see in an
    environment and sets the optimizers; a first decision is made as soon as 512 real samples were seen.
    Nothing else in the loop changes, and no tensor is read between two decisions (but where the controller
    holds update ratios, five times).

    What is generated is scored as in the environments: points in the plane itself, images in the embedding of
    the MFT-SNN that ships, by spectra and colours, all else in `embed`. References are the real samples of
    the first steps; the fakes are the last that the loop made itself before a decision (128, of points 400).

    A loss or score that is `None` or not finite is left out; what was known last is shown in its place, with
    one warning. If a loss or score was finite at no step of a block, or a weight is not, the run has
    diverged: one warning says so, `diverged` is set, and no knob is turned any more; a loop may end there, or
    go back to a checkpoint and call `load_state_dict`. After `total_steps` the last settings stay.

    Learning rates that the loop changes too, by a schedule, are read afresh at every decision, and multiplied
    from there; better leave schedules out.

    Args:
        controller: whose `predict` decides; its knobs must be among `dials.DIALS`.
        opt_g: the generator's optimizer, of a class in `optimizers.KINDS`; its groups are turned together.
        opt_d: the discriminator's.
        total_steps: steps of the whole run: the controller knows how much of it is left.
        loss: name in `gan_gym.gan.LOSSES` of the loss nearest to the loop's; it says what D's loss is where
            it can tell nothing apart. Binary cross-entropy, real and fake term added, is `non_saturating`.
        discriminator: is needed by controllers that turn `instance_noise`, `augment_p` or `r1_gamma`; a hook
            disturbs its inputs while it is in training mode, another adds the penalty's gradient to its own
            right before `opt_d` steps.
        steps_per_decision: steps of a block; a 40th of `total_steps` unless given.
        embed: maps a batch to `(N, D)` features in which samples are compared.
        value_range: lowest and highest value of images.
        seed: seed of noise and augmentation. Global random states are never touched.

    Raises:
        TypeError: if an optimizer is none, or the discriminator no module.
        ValueError: if an optimizer, a knob or another argument cannot be used; the message says what can.

    Example:
        >>> attached = Controller.load("pretrained").attach(opt_g, opt_d, total_steps=10_000, discriminator=D)
        >>> attached.step(
        ...     g_loss=g_loss, d_loss=d_loss, score_real=D_real, score_fake=D_fake, real=x, fake=G_z
        ... )
    """

    def __init__(
        self,
        controller: Controller,
        opt_g: Optimizer,
        opt_d: Optimizer,
        *,
        total_steps: int,
        loss: str = "non_saturating",
        discriminator: nn.Module | None = None,
        steps_per_decision: int | None = None,
        embed: Embed | None = None,
        value_range: Range = (-1.0, 1.0),
        seed: int = 0,
    ) -> None:
        if steps_per_decision is None and isinstance(total_steps, int):
            steps_per_decision = max(1, total_steps // N_DECISIONS)
        self.total_steps = _whole("total_steps", total_steps)
        self.steps_per_decision = _whole("steps_per_decision", steps_per_decision)
        if not (len(value_range) == 2 and value_range[0] < value_range[1]):
            raise ValueError(f"value_range is {value_range!r}; give (lowest, highest)")
        self.controller, self._loss = controller, lookup(LOSSES, loss, "loss")
        self._optimizers = TurnedOptimizer("opt_g", opt_g), TurnedOptimizer("opt_d", opt_d)
        _check_apart(opt_g, opt_d)
        _check_alone()
        check_knobs(controller.knobs, sees_discriminator=discriminator is not None)
        self._seen: Disturbance | None = None
        if discriminator is not None and owned(controller.knobs, "seen"):
            self._seen = Disturbance(discriminator, value_range, seed)
        self._penalty: Penalty | None = None
        if discriminator is not None and owned(controller.knobs, "penalty"):
            self._penalty = Penalty(discriminator, opt_d, value_range)
        self._dials = Dials(controller.knobs, *self._optimizers, self._seen, self._penalty)
        self._movements = Movement(opt_g), Movement(opt_d)
        self._samples = Samples(self.steps_per_decision, embed, value_range)
        self._progress = Progress([0.0] * len(controller.knobs))
        self._record = Record()
        self._notices = Notices()
        self._detached = False
        self.observation: NDArray[np.float32] | None = None
        """What the controller saw at its last decision, rows as in `controller.observations`."""

    @property
    def values(self) -> dict[str, float]:
        """The knobs' values now, by name."""
        return self._dials.values()

    @property
    def statistics(self) -> Statistics:
        """Statistics of the last block."""
        return self._progress.statistics

    @property
    def similarity(self) -> Similarity | None:
        """Scores at the last decision; `None` before the first."""
        return self._progress.similarity

    @property
    def n_decisions(self) -> int:
        """Decisions made."""
        return self._progress.n_decisions

    @property
    def diverged(self) -> bool:
        """Whether something was finite in no step of a block; no knob is turned then."""
        return self._progress.diverged

    def step(
        self,
        *,
        g_loss: Tensor | float | None,
        d_loss: Tensor | float | None,
        score_real: Tensor | None,
        score_fake: Tensor | None,
        real: Tensor | None,
        fake: Tensor | None,
    ) -> None:
        """Report one update of both networks, after both optimizers have stepped.

        Args:
            g_loss: the generator's loss, a number or a 0-d tensor. As all others: `None` if not at hand.
            d_loss: the discriminator's loss, real and fake term, penalties left out.
            score_real: the discriminator's logits of the real batch, any shape; not probabilities.
            score_fake: its logits of the generated batch.
            real: the real batch, `(N, *shape)`.
            fake: the generated batch, `(N, *shape)`.

        Raises:
            ValueError: if an argument has the wrong form, or the controller was detached.
        """
        if self._detached:
            raise ValueError("this controller was detached; call controller.attach again")
        self._samples.check(real, fake)
        if self._penalty is not None:  # goes on with new batches when all else is over
            self._penalty.see(real)
        if self._is_over():
            return
        self._record.step(g_loss=g_loss, d_loss=d_loss, score_real=score_real, score_fake=score_fake)
        progress = self._progress
        progress.n_steps += 1
        left = -progress.n_steps % self.steps_per_decision
        self._samples.add(real, fake, left)
        self._measure()
        if left == 0:
            self._end_block()
        elif progress.n_blocks == 0 and self._samples.is_due:
            self._decide()
        if progress.diverged or progress.n_steps >= self.total_steps:
            for movement in self._movements:
                movement.rest()

    def _is_over(self) -> bool:
        if self._progress.n_steps >= self.total_steps:
            self._notices.warn(
                "total_steps",
                f"step was called more than total_steps={self.total_steps} times; the last settings stay",
            )
            return True
        return self._progress.diverged

    def _measure(self) -> None:
        """Record what the optimizers did, where it was measured, and have the next step measured if due."""
        g, d = self._movements
        if g.is_armed and g.n_updates and d.n_updates:
            n_updates, norms = (g.n_updates, d.n_updates), (g.measured(), d.measured())
            self._record.measure([*norms[0], *norms[1]])
            names = ("g_update_ratio", "d_update_ratio")
            for name, optimizer, n, (_, update, weight) in zip(
                names, self._optimizers, n_updates, norms, strict=True
            ):
                if name in self.controller.knobs:
                    optimizer.learn(update, weight, n)
        if g.is_armed or self._record.n_steps % -(-self.steps_per_decision // N_MEASURED) == 0:
            g.arm()
            d.arm()

    def _end_block(self) -> None:
        """Reduce what was recorded, and decide if the run goes on."""
        progress, (g, d) = self._progress, self._movements
        summary = self._record.summary(
            progress.statistics, (g.moved(), d.moved()), (g.n_entries, d.n_entries)
        )
        self._notices.of_block(summary, self._record.n_steps, progress.n_steps)
        progress.previous, progress.statistics = progress.statistics, summary.statistics
        progress.n_blocks += 1
        progress.diverged = bool(summary.never_finite)
        self._begin_block()
        if not progress.diverged and progress.n_steps < self.total_steps:
            self._decide()

    def _begin_block(self) -> None:
        self._record = Record()
        for movement in self._movements:
            movement.begin()

    def _decide(self) -> None:
        """Let the controller see and turn the knobs."""
        progress, missing = self._progress, self._samples.missing
        if missing:
            self._notices.warn(
                "samples",
                f"{' and '.join(missing)} not given in the last steps up to step {progress.n_steps}; the "
                "scores known last are shown, and no decision is made where there are none",
            )
        similarity = self._samples.score() or progress.similarity
        if similarity is None or self._samples.shape is None or not self._dials.are_known:
            return
        knobs, values = self._dials.knobs(self._samples.shape), self._dials.values()
        signals = Signals(
            statistics=progress.statistics,
            previous=progress.previous,
            loss=self._loss,
            similarity=as_row(similarity),
            similarity_before=as_row(progress.similarity or similarity),
            progress_remaining=1 - progress.n_blocks * self.steps_per_decision / self.total_steps,
            n_steps=progress.n_blocks,
        )
        if self._seen is not None:
            self._seen.data_std = self._samples.data_std
        last_action = np.array(progress.last_action, np.float32)
        self.observation = observe(signals, knobs, values, last_action)
        action, progress.policy_state = self.controller.predict(self.observation, progress.policy_state)
        self._dials.turn(gan_gym.knobs.apply(knobs, values, action))
        progress.last_action, progress.similarity = [float(part) for part in action], similarity
        progress.n_decisions += 1

    def detach(self) -> None:
        """Leave the loop: all hooks are removed, the optimizers keep their settings."""
        self._detached = True
        for movement in self._movements:
            movement.remove()
        for part in (self._seen, self._penalty):
            if part is not None:
                part.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs, beside the networks and optimizers: tensors and JSON-able values.

        A run that is continued from the end of a block goes on as if uninterrupted; within a block, what was
        recorded of it is lost.
        """
        return {
            "knobs": list(self.controller.knobs),
            "total_steps": self.total_steps,
            "steps_per_decision": self.steps_per_decision,
            "progress": self._progress.values(),
            "optimizers": [side.state() for side in self._optimizers],
            "seen": None if self._seen is None else self._seen.state(),
            "penalty": None if self._penalty is None else self._penalty.state(),
            "samples": self._samples.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state made by `state_dict`; load the optimizers' own states too.

        Raises:
            ValueError: if it was made with other knobs or another budget.
        """
        mine = {
            "knobs": list(self.controller.knobs),
            "total_steps": self.total_steps,
            "steps_per_decision": self.steps_per_decision,
        }
        for name, value in mine.items():
            if state[name] != value:
                raise ValueError(
                    f"the state was made with {name}={state[name]}, not {value}; attach with that"
                )
        self._progress = Progress.from_values(state["progress"])
        for side, values in zip(self._optimizers, state["optimizers"], strict=True):
            side.load_state(values)
        if self._seen is not None:
            self._seen.load_state(state["seen"])
        if self._penalty is not None:
            self._penalty.load_state(state["penalty"])
        self._samples.load_state(state["samples"], self._optimizers[1].device)
        self._begin_block()


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}; give a whole number >= 1")
    return value


def _check_apart(opt_g: Optimizer, opt_d: Optimizer) -> None:
    both = (opt_g, opt_d)
    g, d = ({id(p) for group in opt.param_groups for p in group["params"]} for opt in both)
    if g & d:
        raise ValueError(
            f"opt_g and opt_d share {len(g & d)} parameters; give the generator's optimizer and the "
            "discriminator's"
        )
    g, d = ({id(rate) for rate in _tensor_rates(opt)} for opt in both)
    if g & d:
        raise ValueError("opt_g and opt_d share one tensor as learning rate; give each its own (lr.clone())")


def _check_alone() -> None:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed and torch.distributed.get_world_size() > 1:
        raise ValueError(
            "several processes train this GAN together, and each would turn its own knobs; train it in one"
        )


def _tensor_rates(optimizer: Optimizer) -> list[Tensor]:
    return [group["lr"] for group in optimizer.param_groups if isinstance(group["lr"], Tensor)]
