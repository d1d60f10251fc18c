"""Waiting without polling."""

import socket
import threading

import pytest

from dicom_node.wakening import Bell, Checkpoint
from tests.builders.network import PATIENCE_S


@pytest.fixture
def pair():
    """Two ends of a connection."""
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.fixture
def bell():
    """One that is heard."""
    bell = Bell()
    bell.open()
    yield bell
    bell.close()


def test_what_comes_ends_the_wait(pair, bell):
    """And the bell does not."""
    here, there = pair
    there.sendall(b"x")
    assert bell.wait(here.fileno(), PATIENCE_S)


def test_the_bell_ends_one_wait(pair, bell):
    """Rung before it, or by another thread during it; and once for all that rang."""
    here, _ = pair
    bell.ring()
    bell.ring()
    assert not bell.wait(here.fileno(), PATIENCE_S)
    thread = threading.Thread(target=bell.ring)
    thread.start()
    assert not bell.wait(here.fileno(), PATIENCE_S)
    thread.join()
    assert not bell.wait(here.fileno(), 0.0)


def test_the_wait_is_for_the_connection_that_is_named(pair, bell):
    """Not for the one before, and for the bell as well when it was opened meanwhile."""
    here, there = pair
    late = Bell()
    there.sendall(b"x")
    assert late.wait(here.fileno(), PATIENCE_S)
    assert not late.wait(there.fileno(), 0.0)
    late.open()
    late.ring()
    assert not late.wait(there.fileno(), PATIENCE_S)
    late.close()
    assert late.wait(here.fileno(), PATIENCE_S)


def test_nobody_hears_a_bell_that_is_closed(bell):
    """It does no harm, before it is opened and after it is closed."""
    Bell().ring()
    bell.close()
    bell.ring()


def passed(checkpoint):
    """A thread that waits there, and what it sets when it has passed."""
    gone = threading.Event()

    def go():
        checkpoint.wait()
        gone.set()

    threading.Thread(target=go, daemon=True).start()
    return gone


def test_news_lets_the_thread_pass():
    """There before, or rung for."""
    news = [1]
    checkpoint = Checkpoint(lambda: bool(news))
    assert passed(checkpoint).wait(PATIENCE_S)
    news.clear()
    gone = passed(checkpoint)
    news.append(1)
    checkpoint.ring()
    assert gone.wait(PATIENCE_S)


def test_a_thread_that_is_held_does_not_pass():
    """Whatever news there is; pynetdicom relies on that when another thread waits for a response."""
    checkpoint = Checkpoint(lambda: True)
    checkpoint.clear()
    gone = passed(checkpoint)
    checkpoint.ring()
    assert not checkpoint.wait(0.0)
    assert not gone.is_set()
    checkpoint.set()
    assert gone.wait(PATIENCE_S)


def test_without_news_timers_are_looked_at_all_the_same():
    """After a while."""
    assert passed(Checkpoint(lambda: False)).wait(PATIENCE_S)
