"""A bell between two processes: rung in one, heard in another; that it rang is all it says.

A pipe, and no lock that a process which is killed could take along. Nothing may depend on it: a ring that is lost, say
since nobody has listened for long, costs the time until somebody looks by himself.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe

_RING = b"."


class Ringer:
    """The end to ring it by; may be given to a process that is being started."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ring(self) -> None:
        """Waits for nobody."""
        with contextlib.suppress(OSError):  # nobody listens any more, or not for long: the pipe is full
            self._connection.send_bytes(_RING)


class Bell:
    """The end to hear it by: `on_ring` runs in a thread of its own between `start` and `stop`, and must not raise."""

    def __init__(self, on_ring: Callable[[], None]) -> None:
        self._on_ring = on_ring
        self._heard, rung = Pipe(duplex=False)
        os.set_blocking(rung.fileno(), False)
        self.ringer = Ringer(rung)
        self._end, self._ended = rung, False
        self._thread = threading.Thread(target=self._listen, name="bell", daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._ended = True
        self.ringer.ring()
        if self._thread.is_alive():
            self._thread.join()
        self._heard.close()
        self._end.close()

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._heard.recv_bytes()
                while self._heard.poll():  # several rings are one
                    self._heard.recv_bytes()
                if self._ended:
                    return
                self._on_ring()
