"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux tells a container its share of processor time: `<microseconds or max> <period>` (cgroup v2)."""


def usable_cores() -> int:
    """Return the cores this process may use: the machine's, less what affinity or a container forbids.

    The number of torch's threads does not count: it speaks of one process. `torch.set_num_threads(1)` makes
    small networks faster, and leaves the other cores to other processes.
    """
    try:
        n = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no such call
        n = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        n = min(n, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no container, or no quota
        pass
    return max(1, n)
