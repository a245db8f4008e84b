"""The one seam to compilers and CUDA graphs: an update runs as it is, or in a form made from it.

What an update reads of the host is fixed when such a form is made; so it reads everything that changes from
its inputs and from tensors that stay where they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

logger = logging.getLogger(__name__)

Inputs = dict[str, Tensor]
Update = Callable[[Inputs], tuple[Tensor, ...]]

N_WARM_UP = 3
"""Runs on a side stream before an update is captured; they count, as any other."""
N_BEFORE_COMPILING = 50
"""Runs after which an update is compiled: one that is rare would not win back the seconds this takes."""


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    outputs: tuple[Tensor, ...]
    last: Inputs = field(default_factory=dict)
    """What was last copied into `inputs`."""


class Replay:
    """Runs updates that read and write the same tensors every time, apart from their inputs.

    There is a form for every set of inputs an update is given, as these say which parts it has. Compiled, its
    kernels are fused; captured, on CUDA, some hundred of them are started as one.

    Args:
        device: where the updates run.
        compiles: whether to compile them.
        captures: whether to capture them where that is possible.
    """

    def __init__(self, device: torch.device, *, compiles: bool = False, captures: bool = True) -> None:
        self.compiles, self.captures = compiles, captures and device.type == "cuda"
        self._device = device
        self._side: torch.cuda.Stream | None = None
        self._pool: Any = None
        self._n_runs: dict[object, int] = {}
        self._compiled: dict[object, Update] = {}
        self._graphs: dict[object, _Graph] = {}

    @property
    def is_plain(self) -> bool:
        """Whether updates are only called."""
        return not (self.compiles or self.captures)

    def __call__(self, name: str, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        """Return what `update(inputs)` returns; the tensors are the caller's to keep."""
        if self.is_plain:
            return update(inputs)
        key = name, *((k, v.shape, v.dtype) for k, v in sorted(inputs.items()))
        n_runs = self._n_runs[key] = self._n_runs.get(key, 0) + 1
        if self.compiles:
            if n_runs < N_BEFORE_COMPILING:
                return update(inputs)
            if n_runs == N_BEFORE_COMPILING:
                return self._trace(key, update, inputs)
            n_runs -= N_BEFORE_COMPILING
            update = partial(self._run_compiled, key, update)
        return self._run_captured(key, n_runs, update, inputs) if self.captures else update(inputs)

    def _trace(self, key: object, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        """Run an update once, and compile all it does: the gradients and the changes of weights included."""
        outputs: list[tuple[Tensor, ...]] = []

        def run(given: Inputs) -> tuple[Tensor, ...]:
            outputs.append(update(given))
            return outputs[-1]

        try:
            self._compiled[key] = torch.compile(make_fx(run)(inputs))
        except RuntimeError as error:  # a network that reads values of tensors, for example by `.item()`
            return self._give_up_compiling(
                error, lambda given: outputs[0] if outputs else update(given), inputs
            )
        return outputs[0]

    def _run_compiled(self, key: object, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        if not self.compiles:
            return update(inputs)
        try:
            with torch.no_grad():
                return self._compiled[key](inputs)
        except RuntimeError as error:  # no C++ compiler, for example
            if self.captures and torch.cuda.is_current_stream_capturing():
                raise
            return self._give_up_compiling(error, update, inputs)

    def _give_up_compiling(self, error: Exception, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        logger.warning("these networks cannot be compiled (%s); they run as they are", _reason(error))
        self.compiles = False
        return update(inputs)

    def _run_captured(self, key: object, n_runs: int, update: Update, inputs: Inputs) -> tuple[Tensor, ...]:
        if key not in self._graphs:
            if n_runs <= N_WARM_UP:
                return self._beside(update, inputs)
            try:
                self._graphs[key] = self._captured(update, inputs)
            except RuntimeError as error:  # a network that waits for the GPU
                reason = _reason(error.__context__ or error)  # the end of a failed capture fails too
                logger.warning("no CUDA graph of these networks (%s); they run kernel by kernel", reason)
                self.captures = False
                return update(inputs)
        graph = self._graphs[key]
        for part, static in graph.inputs.items():
            if inputs[part] is not graph.last.get(part):  # knobs stay what they are for a block
                static.copy_(inputs[part], non_blocking=True)
        graph.last = inputs
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
        self._pool = self._pool or torch.cuda.graph_pool_handle()  # graphs run in turn: one memory for all
        with (
            torch.cuda.device(self._device),
            torch.cuda.stream(torch.cuda.current_stream(self._device)),  # restored where the capture fails
            torch.cuda.graph(graph, pool=self._pool, stream=self._side),
        ):
            outputs = update(static)
        return _Graph(graph, static, outputs)


def _reason(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
