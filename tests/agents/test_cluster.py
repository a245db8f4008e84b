"""How the loss of a cluster's head, or of Ray on this machine, is noticed; no cluster is needed."""

from __future__ import annotations

import signal
import socket
import threading
import time

import pytest

from agents.cluster import PATIENCE_S, Cluster, HeadLost


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose head refuses to answer, while Ray on this machine does."""
    cluster = Cluster.__new__(Cluster)
    cluster._head, cluster._here = ("127.0.0.1", 1), ("127.0.0.1", 2)
    cluster._silent_since, cluster._lost = None, None

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        if address == cluster._head:
            raise ConnectionRefusedError
        return socket.socket()

    monkeypatch.setattr("agents.cluster.socket.create_connection", connect)
    return cluster


def test_a_head_is_lost_after_it_was_silent_for_a_while_however_late_it_is_asked(
    headless: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster is asked only where an answer is slow: the silence counts from the first question."""
    now = [1000.0]
    monkeypatch.setattr("agents.cluster.time.monotonic", lambda: now[0])
    for passed in (0.0, PATIENCE_S / 2, PATIENCE_S / 2):
        now[0] += passed
        headless.check_head()
    now[0] += 0.1
    with pytest.raises(HeadLost, match="start the cluster again and resume"):
        headless.check_head()


def test_a_cluster_that_has_left_this_machine_is_lost_at_once(headless: Cluster) -> None:
    """Ray ends the process that asks it for shared memory then, so nothing is asked."""
    headless._here = headless._head
    for ask in (headless.check_head, lambda: headless.patiently(lambda: 3)):
        with pytest.raises(HeadLost, match=r"Ray on this machine .* is gone"):
            ask()


def test_a_call_that_waits_for_a_lost_head_is_left_behind(
    headless: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.cluster.PATIENCE_S", 0.0)
    answered, done = threading.Event(), list[int]()
    with pytest.raises(HeadLost):
        headless.patiently(answered.wait)
    with pytest.raises(HeadLost):  # and what would wait now is not begun
        headless.patiently(lambda: done.append(1))
    answered.set()
    assert not done


def _work(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_lost_head_is_noticed_by_what_asks_nothing_of_it(
    headless: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.cluster.PATIENCE_S", 0.0)
    began = time.monotonic()
    with pytest.raises(HeadLost), headless.watched():
        _work(60)
    assert time.monotonic() - began < 30


def test_an_interrupt_while_the_head_answers_is_one(
    headless: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headless, "check_head", lambda: None)
    with pytest.raises(KeyboardInterrupt), headless.watched():
        signal.raise_signal(signal.SIGINT)


def test_a_call_that_answers_is_as_without_patience(headless: Cluster) -> None:
    assert headless.patiently(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        headless.patiently(lambda: 1 / 0)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.cluster.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"gan-gym\[ray\]"):
        Cluster.connect("local")
