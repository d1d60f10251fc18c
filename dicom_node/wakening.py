"""Two ways to wait that do not poll: for a socket or a word from another thread, and for news in a queue."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress

#: Between two looks without being woken: timers are kept by looking.
LOOK_EVERY_S = 0.5


class Bell:
    """Wakes the one thread that waits for a file descriptor; between `open` and `close`, from any thread.

    Otherwise, and where the system has no file descriptor left for it, that thread waits until its time is over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._poll = select.poll()
        self._polled: tuple[int, int | None] = (-1, None)

    def open(self) -> None:
        """From now on `ring` is heard; called by the thread that waits, as often as it likes."""
        if self._descriptor is None:
            with suppress(OSError):
                self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def close(self) -> None:
        """Nobody listens any more."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def ring(self) -> None:
        """Have `wait` return, now or when it is called next."""
        with self._lock:
            if self._descriptor is not None:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, other: int, timeout_s: float) -> bool:
        """Wait until `other` can be read, the bell rings or the time is over; whether `other` can be read."""
        if self._polled != (other, self._descriptor):
            self._polled, self._poll = (other, self._descriptor), select.poll()
            self._poll.register(other, select.POLLIN)
            if self._descriptor is not None:
                self._poll.register(self._descriptor, select.POLLIN)
        ready = dict(self._poll.poll(max(0.0, timeout_s) * 1000))
        if self._descriptor in ready:
            os.eventfd_read(self._descriptor)
        return other in ready


class Checkpoint:
    """In the place of the event at which pynetdicom's association thread stops: it goes on only when there is news.

    To the thread itself and to those that pause it, it behaves as threading.Event.
    """

    def __init__(self, has_news: Callable[[], bool]) -> None:
        self._has_news = has_news
        self._changed = threading.Condition()
        self._is_set = True

    def is_set(self) -> bool:
        """Whether the thread may go on."""
        return self._is_set

    def set(self) -> None:
        """Let the thread go on, and look at once."""
        with self._changed:
            self._is_set = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Hold the thread."""
        with self._changed:
            self._is_set = False

    def ring(self) -> None:
        """There may be news."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for `set`, and then for news, but for these no longer than timers can wait."""
        with self._changed:
            if not self._changed.wait_for(self.is_set, timeout):
                return False
            until = time.monotonic() + LOOK_EVERY_S
            while not (self._is_set and (self._has_news() or time.monotonic() >= until)):
                self._changed.wait(LOOK_EVERY_S)
        return True
