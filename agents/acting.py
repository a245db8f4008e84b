"""What can act on a GAN in training: agents that move knobs, and rules that set them exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gan_gym.envs.gan_env import GANEnv

State = Any
"""JSON-able: a checkpoint holds it. `None` at the first decision of an episode."""


RATES = ("g_lr", "d_lr", "g_update_ratio", "d_update_ratio")
"""Settings that say how fast the networks learn."""


@runtime_checkable
class Agent(Protocol):
    """Anything that turns knobs by `predict`, as Stable-Baselines3's models do."""

    @property
    def knobs(self) -> tuple[str, ...] | None:
        """Knobs the environment must be made with, in order; `None` = any."""
        ...

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.float32], State]:
        """Return an action in [-1, 1] and the next state."""
        ...


@runtime_checkable
class Rule(Agent, Protocol):
    """An agent that reads the raw `info` and sets knobs to exact values, as published rules do."""

    def settings(self, info: Mapping[str, Any], state: State) -> tuple[dict[str, float], State]:
        """Return the values to set now, by the names of `gan.Settings`, and the next state.

        Args:
            info: of the last reset or step, and `networks`, the name of the networks in training.
            state: what the last call of this episode returned; `None` at its first.
        """
        ...


@runtime_checkable
class Planner(Agent, Protocol):
    """An agent that tries actions out on forks of the environment: an oracle, many GANs for one."""

    def plan(self, env: GANEnv, state: State) -> tuple[NDArray[np.float32], State]:
        """Return an action for the environment as it is, and the next state."""
        ...

    def spent(self, state: State) -> int:
        """Return the updates of generators that forks have done in this episode."""
        ...


def decide(
    agent: Agent,
    env: gym.Env[Any, Any],
    observation: NDArray[np.float32],
    info: Mapping[str, Any],
    state: State,
    rate_scale: float = 1.0,
) -> tuple[NDArray[np.float32], State]:
    """Let an agent act once: the action for `env.step`, and the state for the next decision.

    A rule's values are set here, exactly; its action keeps every knob where it then is.

    Args:
        agent: anything with `predict`; one that fits `Rule` is asked for its settings, a `Planner` plans.
        env: one of this package's environments, wrapped or not.
        observation: `(n,)`, of the last reset or step.
        info: of the last reset or step.
        state: what the last decision of this episode returned; `None` at its first.
        rate_scale: what the rates a rule sets are multiplied by: less than 1 after a run diverged.
    """
    if isinstance(agent, Rule):
        gan = cast("GANEnv", env.unwrapped)
        values, state = agent.settings({**info, "networks": gan.networks}, state)
        gan.set_knobs({k: v * rate_scale if k in RATES else v for k, v in values.items()})
        return np.zeros(len(gan.knobs), np.float32), state
    if isinstance(agent, Planner):
        return agent.plan(cast("GANEnv", env.unwrapped), state)
    action, after = agent.predict(observation, state, np.array([state is None]), deterministic=True)
    return action, _plain(after)


def _plain(state: State) -> State:
    """Return the state of a Stable-Baselines3 model, arrays in a tuple, as lists."""
    return [part.tolist() for part in state] if isinstance(state, tuple) else state
