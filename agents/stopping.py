"""What a signal does to a command: it stops at once, or, while a GAN trains, at the next safe moment."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
"""Signals that ask for an end; batch systems send the last two before they take a machine away."""


EXIT_RESUMABLE = 85
"""Exit code of what was stopped and can be continued."""


class Interruptible:
    """While entered, a signal raises `KeyboardInterrupt`; the handlers before are put back at the end."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers; outside the main thread, where Python allows none, do nothing."""
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


class StopRequest(Interruptible):
    """While entered, the first signal only sets `requested`; a second SIGINT stops at once."""

    def __init__(self) -> None:
        super().__init__()
        self.requested = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
