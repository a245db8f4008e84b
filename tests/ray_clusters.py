"""What tests on Ray clusters share: how these are started, and how their head is taken away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any


def start_patiently(start: Callable[..., Any], **kwargs: Any) -> Any:
    """Start a cluster or a machine of it; on a busy machine Ray may give up too soon."""
    for _ in range(4):
        try:
            return start(**kwargs)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            failed = error
    raise failed


def end_without_head(
    command: Sequence[str], cluster: Any, is_under_way: Callable[[], bool], within_s: float
) -> tuple[int, str]:
    """Run a command, take away the head of its cluster once it is under way; return its code and stderr."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + within_s
            while not is_under_way():
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.2)
            cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            errors = process.communicate(timeout=120)[1]
        finally:
            process.kill()
    return process.returncode, errors
