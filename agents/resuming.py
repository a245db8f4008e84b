"""Checkpoints of a run: the environment, the row of `metrics.jsonl`, and what it would go back to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.recording import Recorder
from gan_gym.checkpoint import CheckpointError, load_best, load_checkpoint, save_checkpoint
from gan_gym.envs.gan_env import GANEnv
from gan_gym.envs.snapshot import Snapshot

CHECKPOINTS = "checkpoints"
"""Folder in a run's."""
_GOOD, _AVERAGED = "good/", "g_ema."


@dataclass(frozen=True)
class RunState:
    """Where a run stands between two env steps."""

    snapshot: Snapshot
    """Of the environment."""
    n_rows: int
    """Rows of `metrics.jsonl` written so far."""
    good: Snapshot | None = None
    """What a diverged run would go back to; `None` where that is `snapshot` itself."""
    extra: dict[str, Any] = field(default_factory=dict)
    """JSON-able: the agent's state and the like."""


def save_run_state(run: Path, state: RunState, *, best: bool = False) -> None:
    """Write a checkpoint into a run's folder; the best so far is kept beside the newest two."""
    tensors, values = dict(state.snapshot.tensors), {"env": state.snapshot.values, "n_rows": state.n_rows}
    if state.good is not None:
        tensors |= {_GOOD + name: tensor for name, tensor in state.good.tensors.items()}
        values["good"] = state.good.values
    n_images: int = state.snapshot.values["trainer"]["n_images"]
    save_checkpoint(run / CHECKPOINTS, n_images, tensors, {**values, "extra": state.extra}, best=best)


class Checkpoints:
    """Writes the checkpoints of a run as it goes on, and knows which was the best.

    Args:
        recorder: of the run; what it recorded is on the disk before a checkpoint counts on it.
        best: quality of the best so far.
    """

    def __init__(self, recorder: Recorder, best: float = 0.0) -> None:
        self.recorder, self.best = recorder, best

    def write(self, snapshot: Snapshot, good: Snapshot | None = None, **extra: Any) -> None:
        """Write a checkpoint of this moment; `extra` is JSON-able."""
        self.recorder.sync()
        quality: float = self.recorder.env.current()[1]["quality"]
        better, self.best = quality > self.best, max(quality, self.best)
        state = RunState(snapshot, self.recorder.metrics.n_rows, good, {**extra, "best": self.best})
        save_run_state(self.recorder.run, state, best=better)


def load_run_state(run: Path, env: GANEnv, seed: int) -> RunState | None:
    """Bring a reset environment to a run's newest whole checkpoint; return `None` where there is none.

    Raises:
        CheckpointError: if no checkpoint is whole, or the newest is of another version.
    """
    found = load_checkpoint(run / CHECKPOINTS)
    if found is None:
        env.reset(seed=seed)
        return None
    tensors, values = found
    try:
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(_GOOD)}
        good = None
        if "good" in values:
            kept = {n.removeprefix(_GOOD): t for n, t in tensors.items() if n.startswith(_GOOD)}
            good = Snapshot(kept, values["good"])
        state = RunState(Snapshot(own, values["env"]), values["n_rows"], good, values["extra"])
        env.reset(options={"snapshot": state.snapshot})  # its generator, not the seed's
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoints in {run / CHECKPOINTS} were written by another version ({error!r}); "
            "resume with that version, or start anew"
        ) from error
    return state


def best_generator(run: Path) -> tuple[dict[str, Tensor], int]:
    """Return the averaged generator of a run's best checkpoint, tensors by name, and the images it had seen.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    tensors, values = load_best(run / CHECKPOINTS)
    own = {name.removeprefix(_AVERAGED): x for name, x in tensors.items() if name.startswith(_AVERAGED)}
    try:
        return own, int(values["env"]["trainer"]["n_images"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"the best checkpoint in {run / CHECKPOINTS} was written by another version ({error!r}); use the "
            "last generator"
        ) from None
