"""Train a GAN under a controller that has been made before: it acts, and learns nothing here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.acting import Agent, decide
from agents.recording import Recorder
from agents.resuming import Checkpoints, load_run_state
from agents.rollback import Rollback
from agents.stopping import StopRequest
from gan_gym.envs.histogan import HistoGANEnv
from gan_gym.envs.snapshot import Snapshot

N_CHECKPOINTS = 20
"""Checkpoints of a run, apart from the last."""


def train_controlled(run: Path, env: HistoGANEnv, agent: Agent, seed: int, stop: StopRequest) -> bool:
    """Let the agent act until the budget is spent; return False where a signal stopped the run.

    Continues from the newest checkpoint if there is one, and ends bit for bit where an undisturbed run ends
    (on the CPU).
    """
    found = load_run_state(run, env, seed)
    extra: dict[str, Any] = {} if found is None else found.extra
    if extra.get("finished"):
        return True
    state = extra.get("agent_state")
    rollback = Rollback(env, state, extra.get("rollback"), None if found is None else found.good)
    observation, info = env.current()
    every = max(1, env.episode_steps // N_CHECKPOINTS)
    with Recorder(run, env, seed, 0 if found is None else found.n_rows) as recorder:
        checkpoints = Checkpoints(recorder, extra.get("best", 0.0))

        def checkpoint(snapshot: Snapshot, good: Snapshot | None = None, **more: Any) -> None:
            checkpoints.write(snapshot, good, agent_state=state, rollback=rollback.values(), **more)

        while not info["end"] and not stop.requested:
            action, state = decide(agent, env, observation, info, state, rollback.rate_scale)
            observation, reward, _, _, info = env.step(action)
            recorder.row(action, reward, info, rollback.n)
            if info["diverged"]:
                if rollback.exhausted:
                    break
                state = rollback.go_back()
                observation, info = env.current()
            elif info["env_step"] % every == 0:
                checkpoint(rollback.keep(state))
        if not info["end"]:
            checkpoint(env.snapshot(), rollback.good)
            return False
        if info["diverged"]:
            rollback.give_up()
        checkpoint(env.snapshot(), finished=True)
    return not stop.requested
