"""RL agents as external optimizers of GANs, and the baselines they have to beat.

Names are imported at first use, so that a submodule can be imported without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.algorithms import ALGOS
    from agents.baselines import BASELINES
    from agents.controller import Controller
    from agents.environments import make_env
    from agents.evaluation import evaluate
    from agents.training import train

__all__ = ["ALGOS", "BASELINES", "Controller", "evaluate", "make_env", "train"]

_MODULES = {
    "ALGOS": "algorithms",
    "BASELINES": "baselines",
    "Controller": "controller",
    "evaluate": "evaluation",
    "make_env": "environments",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'agents' has no attribute '{name}'")
    return getattr(importlib.import_module(f"agents.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
