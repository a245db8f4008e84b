from __future__ import annotations

import os
import signal

import pytest

from agents.stopping import SIGNALS, Interruptible, StopRequest


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


@pytest.mark.parametrize("name", SIGNALS)
def test_the_first_signal_only_asks_and_the_handlers_are_put_back(name) -> None:
    before = signal.getsignal(getattr(signal, name))
    with StopRequest() as stop:
        assert not stop.requested
        send(name)
        assert stop.requested
    assert signal.getsignal(getattr(signal, name)) is before


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_interrupt_stops_at_once(first) -> None:
    with StopRequest():
        send(first)
        with pytest.raises(KeyboardInterrupt):
            send("SIGINT")


@pytest.mark.parametrize("second", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_batch_systems_may_signal_as_often_as_they_like(second) -> None:
    with StopRequest() as stop:
        send("SIGTERM")
        send(second)
        assert stop.requested


@pytest.mark.parametrize("name", SIGNALS)
def test_elsewhere_any_signal_stops(name) -> None:
    with Interruptible(), pytest.raises(KeyboardInterrupt):
        send(name)
