"""The registry of reinforcement-learning algorithms: a name swaps the external optimizer."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_gym.names import lookup

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


@dataclass(frozen=True)
class Algorithm:
    """An algorithm of Stable-Baselines3 or sb3-contrib, with defaults for short, undiscounted episodes."""

    package: str
    """Module the class is imported from."""
    class_name: str
    """Name of the class."""
    defaults: Mapping[str, Any]
    """Constructor arguments."""
    net_arch: tuple[int, ...] = (64, 64)
    """Units of the policy's (and critic's) hidden layers."""
    activation: str = "Tanh"
    """Name of the activation in `torch.nn`."""
    policy: str = "MlpPolicy"
    """Name of the policy in the class's `policy_aliases`."""
    discrete: bool = False
    """Whether it needs discrete actions; a knob then has `environments.DISCRETE_MOVES`."""
    policy_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the policy's constructor."""
    action_noise: float | None = None
    """Standard deviation of the noise on actions by which a policy that has none of its own explores."""

    def load(self) -> type[BaseAlgorithm]:
        """Import the class.

        Raises:
            ImportError: if sb3-contrib is needed and not installed.
        """
        try:
            module = importlib.import_module(self.package)
        except ImportError as error:
            raise ImportError(
                f"{self.class_name} needs the package '{self.package}', which is not installed; "
                "install the extra: pip install 'gan-gym[contrib]'"
            ) from error
        algorithm: type[BaseAlgorithm] = getattr(module, self.class_name)
        return algorithm

    def exploration(self, n_knobs: int) -> dict[str, Any]:
        """Return the constructor's arguments by which it explores, beside its defaults.

        The noise is drawn from NumPy's global state.
        """
        from stable_baselines3.common.noise import NormalActionNoise

        if self.action_noise is None:
            return {}
        return {"action_noise": NormalActionNoise(np.zeros(n_knobs), np.full(n_knobs, self.action_noise))}


_SB3, _CONTRIB = "stable_baselines3", "sb3_contrib"
_GAMMA = 0.99
"""Nearly undiscounted: an episode has 40 decisions, and its return is the final quality."""
_ON_POLICY = {"gamma": _GAMMA, "gae_lambda": 0.95, "n_steps": 40}
_OFF_POLICY = {"gamma": _GAMMA, "buffer_size": 100_000, "learning_starts": 400, "batch_size": 128}
_CONTINUOUS = _OFF_POLICY | {"learning_rate": 1e-3, "train_freq": 1, "gradient_steps": 1}
_VALUES = _OFF_POLICY | {
    "learning_rate": 1e-3,
    "train_freq": 1,
    "target_update_interval": 200,
    "exploration_fraction": 0.3,
    "exploration_final_eps": 0.05,
}
_MOVE = 0.25
"""Of exploration, by a factor of 2.4 on learning rates: the usual 1 would jump over all."""
_EXPLORATION = {"log_std_init": -1.4}  # the logarithm of it
_PPO = _ON_POLICY | {"learning_rate": 6e-4, "batch_size": 160, "n_epochs": 8}

ALGOS: dict[str, Algorithm] = {
    "a2c": Algorithm(
        _SB3,
        "A2C",
        {"gamma": _GAMMA, "gae_lambda": 0.95, "n_steps": 10, "learning_rate": 1e-3},
        policy_arguments=_EXPLORATION,
    ),
    "ddpg": Algorithm(
        _SB3,
        "DDPG",
        _CONTINUOUS,
        activation="ReLU",
        policy_arguments={"n_critics": 1},
        action_noise=_MOVE,
    ),
    "dqn": Algorithm(_SB3, "DQN", _VALUES, activation="ReLU", discrete=True),
    "ppo": Algorithm(_SB3, "PPO", _PPO, policy_arguments=_EXPLORATION),
    "sac": Algorithm(_SB3, "SAC", _CONTINUOUS, activation="ReLU"),
    "td3": Algorithm(_SB3, "TD3", _CONTINUOUS, activation="ReLU", action_noise=_MOVE),
    # linear, as in its paper: it starts at zero, where the symmetric differences of a deeper network vanish
    "ars": Algorithm(_CONTRIB, "ARS", {"n_delta": 16, "delta_std": 0.1, "learning_rate": 0.05}, net_arch=()),
    "crossq": Algorithm(
        _CONTRIB, "CrossQ", _CONTINUOUS, activation="ReLU", policy_arguments={"renorm_warmup_steps": 1000}
    ),
    "qrdqn": Algorithm(
        _CONTRIB, "QRDQN", _VALUES, activation="ReLU", discrete=True, policy_arguments={"n_quantiles": 25}
    ),
    "recurrent_ppo": Algorithm(
        _CONTRIB,
        "RecurrentPPO",
        _PPO,
        policy="MlpLstmPolicy",
        policy_arguments=_EXPLORATION | {"lstm_hidden_size": 64},
    ),
    "tqc": Algorithm(_CONTRIB, "TQC", _CONTINUOUS, activation="ReLU"),
    "trpo": Algorithm(
        _CONTRIB,
        "TRPO",
        _ON_POLICY | {"batch_size": 160, "learning_rate": 1e-3},
        policy_arguments=_EXPLORATION,
    ),
}
"""Algorithms by name."""


def find(name: str) -> Algorithm:
    """Return the algorithm of that name.

    Raises:
        ValueError: if it is unknown; the message holds the nearest known one.
    """
    return lookup(ALGOS, name, "algorithm")
