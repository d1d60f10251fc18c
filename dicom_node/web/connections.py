"""Connections of the web server, held to a time in which nothing of use may come: uvicorn has no such bound."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


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
