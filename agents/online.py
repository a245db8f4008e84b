"""Let an algorithm learn inside one GAN run, as in arXiv 2409.20340: the external optimizer has no other life."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import DiscretizeAction
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.algorithms import find
from agents.controller import CLIP, Controller, policy_arguments
from agents.environments import N_BINS
from agents.random_state import isolated_random_state
from agents.recording import Recorder
from gan_gym.envs.histogan import HistoGANEnv

ONLINE: dict[str, dict[str, Any]] = {
    "a2c": {"n_steps": 5},
    "ppo": {"n_steps": 8, "batch_size": 8},
    "recurrent_ppo": {"n_steps": 8, "batch_size": 8},
    "trpo": {"n_steps": 8, "batch_size": 8},
    **{name: {"learning_starts": 8, "batch_size": 16} for name in ("ddpg", "dqn", "sac", "td3", "crossq", "qrdqn", "tqc")},
}
"""Hyperparameters that let an algorithm learn from its first decisions; ARS, which compares whole runs, cannot."""


class _OneRun(gym.Wrapper[Any, Any, Any, Any]):
    """One GAN run, recorded; after its end a reset gives the last observation, so that the GAN is not thrown away."""

    def __init__(self, env: HistoGANEnv, recorder: Recorder) -> None:
        super().__init__(env)
        self.gan, self.recorder, self.ended = env, recorder, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.gan.current()

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.gan.step(action)
        self.recorder.row(action, reward, info, 0)
        self.ended = terminated
        return observation, reward, terminated, truncated, info


class _StopAtEnd(BaseCallback):
    def __init__(self, run: _OneRun) -> None:
        super().__init__()
        self.run = run

    def _on_step(self) -> bool:
        return not self.run.ended


class OnlineLearner:
    """Learns to turn the knobs of the one GAN it is given.

    Args:
        algo: a name in `ONLINE`.
        env: the environment, already reset.
        recorder: writes every env step down.
        seed: seed of the algorithm.
        start: policy to start from; `None` learns from scratch.
    """

    def __init__(self, algo: str, env: HistoGANEnv, recorder: Recorder, *, seed: int, start: Controller | None) -> None:
        self.algo, self.env, self.recorder, self.seed, self.start = algo, env, recorder, seed, start

    def learn(self) -> Controller:
        """Learn until the GAN's budget is spent, and return the policy."""
        algorithm = find(self.algo)
        run = _OneRun(self.env, self.recorder)
        wrapped: gym.Env[Any, Any] = DiscretizeAction(run, N_BINS) if algorithm.discrete else run
        settings = {**algorithm.defaults, **ONLINE[self.algo]}
        normalised = VecNormalize(DummyVecEnv([lambda: wrapped]), gamma=settings.get("gamma", 1.0), clip_obs=CLIP)
        if self.start is not None:
            normalised.obs_rms.mean = self.start.mean.astype(np.float64)
            normalised.obs_rms.var = self.start.std.astype(np.float64) ** 2
            normalised.obs_rms.count = 1e4
        with isolated_random_state():
            model = algorithm.load()(
                algorithm.policy,
                normalised,
                policy_kwargs=policy_arguments(self.algo),
                seed=self.seed,
                device="cpu",
                **settings,
            )
            if self.start is not None:
                model.policy.load_state_dict(self.start.policy.state_dict())
            model.learn(self.env.episode_steps, callback=_StopAtEnd(run))
        statistics = normalised.obs_rms
        return Controller(
            self.algo,
            model.policy.to(torch.device("cpu")),
            tuple(knob.name for knob in self.env.knobs),
            statistics.mean,
            np.sqrt(statistics.var + normalised.epsilon),
            {"algo": self.algo, "learned": "online", "seed": self.seed, "env_steps": self.env.episode_steps},
        )
