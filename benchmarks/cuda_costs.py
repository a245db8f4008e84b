"""What only a GPU can show: an inner step replayed as CUDA graphs beside the same step launched eagerly."""

from __future__ import annotations

from functools import partial

from benchmarks.costs import FAMILIES, Costs
from benchmarks.timing import side_by_side

N_STEPS = 100
"""Inner steps in a timed run."""


def cuda_graphs(costs: Costs) -> None:
    """Compare both forms on the networks and data of `HistoGAN-v0`; on a CPU both are the same."""
    env = costs.env(FAMILIES["conv"])
    eager, graphs = (
        costs.trainer(env.networks, env.problem.source, env.config.batch_size, cuda_graphs=on)
        for on in (False, True)
    )
    runs = [partial(trainer.train, N_STEPS) for trainer in (eager, graphs)]
    slow, fast = side_by_side(runs, costs.scale.repeats)
    costs.ratio("cuda_graph_over_eager_conv", slow / fast)
    costs.time("cuda_graph_over_eager_conv: eager, inner step", slow / N_STEPS)
    costs.time("cuda_graph_over_eager_conv: graphs, inner step", fast / N_STEPS)
