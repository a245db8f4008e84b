"""A process that waits, its imports done, to be the next worker that is lost."""

from __future__ import annotations

from typing import Any

from agents.cluster import Cluster
from agents.hosts import end_host, start_host

READY_S = 0.5
"""Seconds that a spare has to say that it is ready; one that needs longer is still importing, or hangs."""


class Spare:
    """One warm process somewhere on the cluster; it holds no core, and half a gigabyte of memory.

    It lies on machines that have cores, on each in turn, for a head without cores trains nothing.

    Args:
        cluster: the cluster, connected.
        wanted: whether there is one at all.
    """

    def __init__(self, cluster: Cluster, wanted: bool) -> None:
        self._cluster, self._wanted = cluster, wanted
        self._actor: Any = None
        self._n_started = 0

    def start(self) -> None:
        """Have a process start in the background, unless one waits already."""
        if self._wanted and self._actor is None:
            place = self._place()
            self._actor = start_host(self._cluster, None, None, num_cpus=0, scheduling_strategy=place)
            self._n_started += 1

    def _place(self) -> Any:
        ray = self._cluster.ray
        nodes = self._cluster.patiently(ray.nodes)
        able = sorted(node["NodeID"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0))
        if not able:
            return "DEFAULT"
        near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        return near(able[self._n_started % len(able)], soft=True)

    def pid(self) -> int | None:
        """Return the process it lives in, on its machine; `None` where none is ready.

        One that has died is given up.
        """
        if self._actor is None:
            return None
        try:
            answer = self._cluster.patiently(self._actor.pid.remote)
            return int(self._cluster.ray.get(answer, timeout=READY_S))
        except self._cluster.timeout:
            return None
        except self._cluster.losses:
            self._actor = None
            return None

    def take(self) -> Any:
        """Give the process away, if one is ready; return its handle, or `None`."""
        if self.pid() is None:
            return None
        actor, self._actor = self._actor, None
        return actor

    def close(self) -> None:
        """End the process; nothing happens the second time."""
        end_host(self._cluster, self._actor)
        self._actor = None
