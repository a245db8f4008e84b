"""What is kept of the samples that a loop shows: references of its first steps, and its latest fakes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from agents.attach.comparisons import Comparison, Embed, Embedded, Range, check_values, comparison_of
from agents.attach.record import form_of
from gan_gym.gan import Spread
from gan_gym.randomness import generator
from gan_gym.rewards import Scorer, Similarity

N_REAL = 512
"""Real samples that are wanted: half of them are references, half calibrate the scale."""
LEAST_REAL = 64
"""Real samples with which fakes are compared where a block ends before there are more."""
LEAST_DIFFERENT = 16
"""Different samples that there must be among them: data that repeat calibrate nothing."""


class Samples:
    """Real samples of a run's first steps, and the fakes of the last steps before a decision.

    Args:
        steps_per_decision: steps of a block.
        embed: the user's embedding.
        value_range: where images' values lie.
    """

    def __init__(self, steps_per_decision: int, embed: Embed | None, value_range: Range) -> None:
        self._steps, self._embed, self._range = steps_per_decision, embed, value_range
        self._comparison: Comparison | None = None
        self._real: list[Tensor] = []
        self._fakes: list[Tensor] = []
        self._n_fakes = 0
        self._scorer: Scorer | None = None
        self._spread = Spread()
        self.shape: tuple[int, ...] | None = None
        """Shape of a sample; `None` before the first real batch."""

    @property
    def data_std(self) -> float:
        """Standard deviation of the real samples of the first steps, as the loop gave them."""
        return self._spread.std

    @property
    def n_real(self) -> int:
        """Real samples that were kept."""
        return sum(map(len, self._real))

    @property
    def is_due(self) -> bool:
        """Whether there are as many real samples as are wanted, and none was compared with them yet."""
        return self._scorer is None and self.n_real >= N_REAL

    @property
    def missing(self) -> list[str]:
        """Names of what was never given, or not in the steps before a decision."""
        return [name for name, kept in (("real", self._real), ("fake", self._fakes)) if not kept]

    def check(self, real: Tensor | None, fake: Tensor | None) -> None:
        """Check the form of the batches of a step.

        Raises:
            ValueError: if one is no float tensor, or has not the shape that the first real batch had.
        """
        shape = self.shape
        for name, samples in (("real", real), ("fake", fake)):
            if samples is None:
                continue
            if not isinstance(samples, Tensor) or not samples.is_floating_point() or samples.ndim < 2:
                raise ValueError(f"{name} is {form_of(samples)}; give a batch, a float tensor (N, ...)")
            shape = shape or tuple(samples.shape[1:])
            if samples.shape[1:] != shape:
                raise ValueError(
                    f"{name} has shape {tuple(samples.shape)}, the first real batch held samples of shape "
                    f"{shape}; give real and generated samples of one shape"
                )

    def add(self, real: Tensor | None, fake: Tensor | None, steps_left: int) -> None:
        """Keep what is needed of the batches of a step.

        Args:
            real: `(N, *shape)` real samples or `None`.
            fake: `(N, *shape)` generated samples or `None`.
            steps_left: steps from here to the next decision.

        Raises:
            ValueError: if the first real batch is of no kind that can be compared.
        """
        if real is not None and self._comparison is None:
            comparison = comparison_of(tuple(real.shape[1:]), self._embed, self._range)
            check_values(real, comparison, self._range)
            self._comparison, self.shape = comparison, tuple(real.shape[1:])
        if self._comparison is None:
            return
        if real is not None and self._scorer is None:
            if self.n_real < N_REAL:
                kept = self._comparison.reference(real)
                self._real.append(kept.to(self._real[0].device) if self._real else kept)
            self._spread.add(real)
        if fake is None:
            return
        if self._scorer is None:
            wanted = min(self._comparison.n_fakes, self._steps * len(fake))
            self._n_fakes = max(self._n_fakes, wanted)
        if self._scorer is None or steps_left * len(fake) < self._n_fakes:
            self._fakes.append(self._comparison.prepared(fake))
            while sum(map(len, self._fakes[1:])) >= self._n_fakes:
                del self._fakes[0]

    def score(self) -> Similarity | None:
        """Score the last fakes and forget them; `None` where too few samples were seen.

        Raises:
            ValueError: if the real samples cannot serve as references.
        """
        fakes, self._fakes = self._fakes, []
        if sum(map(len, fakes)) < 2 or self.n_real < LEAST_REAL:
            return None
        if self._scorer is None:
            self._scorer = self._build_scorer()
        return self._scorer.score(torch.cat(fakes)[-self._n_fakes :])

    def _build_scorer(self) -> Scorer:
        assert self._comparison is not None
        real = torch.cat(self._real)[:N_REAL]
        different = torch.unique(real, dim=0)
        if len(different) < LEAST_DIFFERENT:
            raise ValueError(
                f"real held {len(different)} different samples in the first {len(real)}; give at least "
                f"{LEAST_DIFFERENT}, or none (real=None)"
            )
        order = torch.randperm(len(different), generator=generator(0, "references"))
        return self._comparison.scorer(different[order.to(real.device)], self._n_fakes)

    def state(self) -> dict[str, Any]:
        """Return what later scores depend on: tensors and JSON-able values."""
        noise = self._comparison.noise if isinstance(self._comparison, Embedded) else None
        return {
            "shape": None if self.shape is None else list(self.shape),
            "real": torch.cat(self._real) if self._real else None,
            "noise": noise,
            "n_fakes": self._n_fakes,
            "compared": self._scorer is not None,
            "spread": self._spread.state(),
        }

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Continue from a state made by `state` on a device, without the fakes of a block in progress."""
        if state["shape"] is None:
            return
        self.shape = tuple(state["shape"])
        self._comparison = comparison_of(self.shape, self._embed, self._range)
        if isinstance(self._comparison, Embedded):
            self._comparison.noise = state["noise"].to(device)
        self._spread.load_state(state["spread"])
        self._real, self._fakes, self._n_fakes = [state["real"].to(device)], [], state["n_fakes"]
        self._scorer = self._build_scorer() if state["compared"] else None
