"""A connection in the middle of which something happens: it is passed on to a peer, until so many bytes have gone."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.builders.network import HOST, PATIENCE_S

_ABORT = struct.pack(">BBLBBBB", 7, 0, 4, 0, 0, 2, 0)

#: What is done to the caller's connection; it returns when the connection may be closed.
Happening = Callable[[socket.socket, threading.Event], None]


def stall(_caller: socket.socket, is_over: threading.Event) -> None:
    """Read no more, and say nothing."""
    is_over.wait(PATIENCE_S)


def hang_up(_caller: socket.socket, _is_over: threading.Event) -> None:
    """Without a word."""


def abort(caller: socket.socket, is_over: threading.Event) -> None:
    """Say so (A-ABORT), and go on reading."""
    caller.sendall(_ABORT)
    caller.settimeout(PATIENCE_S)
    with suppress(OSError):
        while caller.recv(65536) and not is_over.is_set():
            pass


@contextmanager
def between(port: int, after: int, happens: Happening) -> Iterator[int]:
    """The port of a way to `port` for one caller, on which this happens when it has sent so many bytes."""
    is_over = threading.Event()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind((HOST, 0))
        listener.listen()
        serving = threading.Thread(target=_serve, args=(listener, port, after, happens, is_over))
        serving.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            is_over.set()
            serving.join()


def _serve(listener: socket.socket, port: int, after: int, happens: Happening, is_over: threading.Event) -> None:
    caller, _ = listener.accept()
    with caller, socket.create_connection((HOST, port), PATIENCE_S) as peer:
        answers = threading.Thread(target=_pass_on, args=(peer, caller))
        answers.start()
        passed = 0
        while passed < after:
            some = caller.recv(min(65536, after - passed))
            if not some:
                break
            peer.sendall(some)
            passed += len(some)
        happens(caller, is_over)
        peer.shutdown(socket.SHUT_RDWR)
        answers.join()


def _pass_on(peer: socket.socket, caller: socket.socket) -> None:
    with suppress(OSError):
        while some := peer.recv(65536):
            caller.sendall(some)
