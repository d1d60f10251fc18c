"""Connections of the web server: how many there may be, and how long one may bring nothing of use.

uvicorn has no such bounds. A flood of connections would harm the DICOM side, too: pynetdicom waits by select(), which
knows no file descriptor above 1023.
"""

from __future__ import annotations

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Entrance(socket.socket):
    """A bound socket that takes in so many connections at a time, and hangs up on the others."""

    def __init__(self, host: str, port: int, most: int) -> None:
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._most = most
        self._taken_in: list[socket.socket] = []
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind((host, port))
        except OSError as error:
            self.close()
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from error

    def accept(self) -> tuple[socket.socket, object]:
        """The next connection. Raises ConnectionAbortedError, which asyncio passes over, when it is one too many."""
        connection, address = super().accept()
        self._taken_in = [each for each in self._taken_in if each.fileno() != -1]  # without those that were closed
        if len(self._taken_in) >= self._most:
            connection.close()
            raise ConnectionAbortedError("too many connections are open")
        self._taken_in.append(connection)
        return connection, address


def bounded_connections(header_s: float) -> type[H11Protocol]:
    """HTTP/1.1 connections that are closed when a request's header is not whole after `header_s`.

    So are those that go on sending so long after they were answered; until then it is read and dropped, since
    a caller whose bytes are not read may never see the answer.
    """

    class BoundedConnection(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            super().connection_made(transport)
            self._bound()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._bound()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unbound()
            super().connection_lost(exc)

        def _bound(self) -> None:
            theirs = self.conn.their_state
            answered = self.cycle is not None and self.cycle.response_complete
            if theirs is h11.IDLE or (theirs is h11.SEND_BODY and answered):
                self._deadline = self._deadline or self.loop.call_later(header_s, self.transport.abort)
            else:
                self._unbound()

        def _unbound(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return BoundedConnection
