"""Let an algorithm learn inside one GAN run, as in arXiv 2409.20340: it has no other life."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import TransformAction
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.algorithms import find
from agents.controller import CLIP, Controller, policy_arguments
from agents.environments import discrete_actions
from agents.random_state import isolated_random_state
from agents.recording import Recorder
from agents.resuming import Checkpoints, load_run_state
from agents.rollback import Rollback
from agents.run_controller import keep_controller
from agents.stopping import StopRequest
from gan_gym.envs.histogan import HistoGANEnv

ONLINE: dict[str, dict[str, Any]] = {
    "a2c": {"n_steps": 5},
    "ppo": {"n_steps": 8, "batch_size": 8},
    "recurrent_ppo": {"n_steps": 8, "batch_size": 8},
    "trpo": {"n_steps": 8, "batch_size": 8},
    **{
        name: {"learning_starts": 8, "batch_size": 16}
        for name in ("ddpg", "dqn", "sac", "td3", "crossq", "qrdqn", "tqc")
    },
}
"""Hyperparameters to learn from the first decisions on; ARS, which compares whole runs, cannot."""
FROM_A_START: dict[str, dict[str, Any]] = {
    **{name: {"learning_starts": 0} for name in ("ddpg", "sac", "td3", "crossq", "tqc")},
    **{name: {"learning_starts": 0, "exploration_initial_eps": 0.05} for name in ("dqn", "qrdqn")},
}
"""What differs where there is a policy to start from: no first decisions at random."""
N_KEPT = 20
"""Times a run takes its state as one to go back to."""
START_COUNT = 1e4
"""Observations that the statistics of a policy to start from are taken to stand for."""


class _OneRun(gym.Wrapper[Any, Any, Any, Any]):
    """One GAN run, recorded; a reset takes a diverged run back to its last good state, else nothing."""

    def __init__(self, env: HistoGANEnv, recorder: Recorder) -> None:
        super().__init__(env)
        self.gan, self.recorder = env, recorder
        self.rollback = Rollback(env, None)
        self.checkpoints = Checkpoints(recorder)
        self.keep_every = max(1, env.episode_steps // N_KEPT)
        self.ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = self.gan.current()
        if info["diverged"] and not self.ended:
            self.rollback.go_back()
            observation, info = self.gan.current()
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.gan.step(action)
        self.recorder.row(action, reward, info, self.rollback.n)
        if info["diverged"]:
            self.ended = self.rollback.exhausted
        else:
            self.ended = terminated
            if info["env_step"] % self.keep_every == 0:
                self.checkpoints.write(self.rollback.keep(None))
        return observation, reward, terminated, truncated, info


class _StopAtEnd(BaseCallback):
    def __init__(self, run: _OneRun, stop: StopRequest) -> None:
        super().__init__()
        self.run, self.stop = run, stop

    def _on_step(self) -> bool:
        return not self.run.ended and not self.stop.requested


def train_online(
    run: Path, env: HistoGANEnv, algo: str, seed: int, stop: StopRequest, *, start: Controller | None = None
) -> bool:
    """Let an algorithm learn inside this run and save its policy; return False where a signal stopped it.

    A learner cannot be taken up in the middle: a resumed run repeats the learning from its start, and ends as
    an undisturbed one does (on the CPU).

    Args:
        run: the run's folder.
        env: the environment.
        algo: a name in `ONLINE`.
        seed: seed of the run and the algorithm.
        stop: set by a signal.
        start: policy to start from; `None` learns from scratch.
    """
    found = load_run_state(run, env, seed)
    if found is not None:
        if found.extra.get("finished"):
            return True
        env.reset(seed=seed)
    with Recorder(run, env, seed, 0) as recorder:
        one_run = _OneRun(env, recorder)
        controller = _learn(algo, one_run, seed, stop, start)
        if not one_run.ended:
            return False
        if env.current()[1]["diverged"]:
            one_run.rollback.give_up()
        keep_controller(controller, run)
        one_run.checkpoints.write(env.snapshot(), finished=True)
    return not stop.requested


def _learn(algo: str, run: _OneRun, seed: int, stop: StopRequest, start: Controller | None) -> Controller:
    """Learn until the GAN's budget is spent or a signal came, and return the policy."""
    algorithm, env = find(algo), run.gan
    wrapped: gym.Env[Any, Any] = run
    if algorithm.discrete:
        moves = discrete_actions(len(env.knobs))
        wrapped = TransformAction(run, lambda index: moves[index], gym.spaces.Discrete(len(moves)))
    settings = {**algorithm.defaults, **algorithm.exploration(len(env.knobs)), **ONLINE[algo]}
    if start is not None:
        settings |= FROM_A_START.get(algo, {})
    normalised = VecNormalize(DummyVecEnv([lambda: wrapped]), gamma=settings.get("gamma", 1.0), clip_obs=CLIP)
    statistics = cast(RunningMeanStd, normalised.obs_rms)
    if start is not None:
        statistics.mean = start.mean.astype(np.float64)
        statistics.var = start.std.astype(np.float64) ** 2
        statistics.count = START_COUNT
    with isolated_random_state():
        model = algorithm.load()(
            algorithm.policy,
            normalised,
            policy_kwargs=policy_arguments(algo),
            seed=seed,
            device="cpu",
            **settings,
        )
        if start is not None:
            model.policy.load_state_dict(start.policy.state_dict())
        while not run.ended and not stop.requested:  # again where steps were spent on going back
            left = env.episode_steps - env.current()[1]["env_step"]
            model.learn(left, callback=_StopAtEnd(run, stop), reset_num_timesteps=model.num_timesteps == 0)
    return Controller.learned(
        algo,
        model,
        normalised,
        tuple(knob.name for knob in env.knobs),
        {"algo": algo, "learned": "online", "seed": seed, "env_steps": env.episode_steps},
    )
