"""From one machine to clusters of any size: an env step of all workers as a sum of times.

The agent waits for all workers, then does what grows with their number, one after the other: it packs and
unpacks a message each, looks at the observations and learns from them, and takes in a snapshot now and then.
So for W workers with m GANs each, whose env step takes T seconds,

    step(W) = T + latency + W * (message + m * agent + snapshot),     efficiency(W) = T / step(W).

Nothing else is modelled: not the spread of the workers' own times, not losses (each costs one restart), and
not a network that others use.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.remote import Placement

SNAPSHOT_EVERY = Placement().snapshot_every
"""Env steps between two snapshots."""
NETWORK = 1.25e9
"""Bytes a second into the machine of the agent: 10 Gbit/s, assumed."""


@dataclass(frozen=True)
class Engine:
    """What the model knows of the engine, in seconds unless said otherwise."""

    latency: float
    """Of a message there and back, whatever the number of workers."""
    message: float
    """What each further worker adds to an env step: its message, packed and unpacked."""
    agent: float
    """What the agent takes for an env step of one GAN: its policy's look and its share of an update."""

    def parts(self, n_workers: int, n_envs: int, snapshot: Snapshot) -> dict[str, float]:
        """Return what an env step of all workers takes besides their own time, by cause, in seconds."""
        return {
            "latency": self.latency,
            "messages": n_workers * self.message,
            "agent": n_workers * n_envs * self.agent,
            "snapshots": n_workers * n_envs * snapshot.seconds_a_step,
        }

    def efficiency(self, seconds: float, n_workers: int, n_envs: int, snapshot: Snapshot) -> float:
        """Return the share of an env step in which the workers train, in (0, 1]."""
        return seconds / (seconds + sum(self.parts(n_workers, n_envs, snapshot).values()))

    def most_workers(self, seconds: float, n_envs: int, snapshot: Snapshot, efficiency: float) -> int:
        """Return the most workers that train for such a share of an env step; 0 where one is too many."""
        left = seconds / efficiency - seconds - self.latency
        each = sum(self.parts(1, n_envs, snapshot).values()) - self.latency
        return max(0, int(left / each))


@dataclass(frozen=True)
class Snapshot:
    """The state of one GAN, as the process that learns keeps it."""

    n_bytes: float
    """Its size."""
    unpacking: float
    """Seconds to take it in, the network left out."""

    @property
    def seconds_a_step(self) -> float:
        """What it adds to each env step, of which one in `SNAPSHOT_EVERY` has it."""
        return (self.unpacking + self.n_bytes / NETWORK) / SNAPSHOT_EVERY


@dataclass(frozen=True)
class Load:
    """A kind of training whose scaling is asked about."""

    label: str
    seconds: float
    """Of an env step of a worker, all its GANs included."""
    n_envs: int
    """GANs of a worker."""
    snapshot: Snapshot
