"""The one seam to CUDA graphs: an update runs as it is, or as a graph captured from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

Inputs = dict[str, Tensor]
Update = Callable[[Inputs], tuple[Tensor, ...]]

N_WARM_UP = 3
"""Runs on a side stream before an update is captured; they count, as any other."""


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    outputs: tuple[Tensor, ...]


class Replay:
    """Runs updates that read and write the same tensors every time, apart from their inputs.

    On CUDA an update is captured once for every set of inputs it is given, as these say which parts it has,
    and then replayed: some hundred kernels are started as one. Elsewhere it is called.

    Args:
        device: where the updates run.
        enabled: whether to capture where that is possible.
    """

    def __init__(self, device: torch.device, *, enabled: bool = True) -> None:
        self.captures = enabled and device.type == "cuda"
        self._device = device
        self._side: torch.cuda.Stream | None = None
        self._n_runs: dict[object, int] = {}
        self._graphs: dict[object, _Graph] = {}

    def __call__(self, name: str, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return what `update(inputs)` returns; the tensors are the caller's to keep."""
        if not self.captures:
            return update(inputs)
        key = name, *((k, v.shape, v.dtype) for k, v in sorted(inputs.items()))
        if key not in self._graphs:
            self._n_runs[key] = self._n_runs.get(key, 0) + 1
            if self._n_runs[key] <= N_WARM_UP:
                return self._beside(update, inputs)
            try:
                self._graphs[key] = self._captured(update, inputs)
            except RuntimeError as error:  # a network that waits for the GPU, for example by `.item()`
                reason = str(error).strip().splitlines()[0]
                logger.warning("no CUDA graph of these networks (%s); they run kernel by kernel", reason)
                self.captures = False
                return update(inputs)
        graph = self._graphs[key]
        for part, static in graph.inputs.items():
            static.copy_(inputs[part], non_blocking=True)
        graph.graph.replay()
        return tuple(output.clone() for output in graph.outputs)

    def _beside(self, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        """Run an update on a side stream, as a capture asks of the runs before it."""
        current = torch.cuda.current_stream(self._device)
        side = self._side = self._side or torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            outputs = update(inputs)
        current.wait_stream(side)
        for tensor in inputs.values():
            tensor.record_stream(side)
        for tensor in outputs:
            tensor.record_stream(current)
        return outputs

    def _captured(self, update: Update, inputs: Inputs) -> _Graph:
        """Capture an update, which is not run by this."""
        static = {name: tensor.clone() for name, tensor in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = update(static)
        return _Graph(graph, static, outputs)
