"""The web server: one thread with an event loop, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node.faults import call_path, type_and_place
from dicom_node.tls import ServerTls
from dicom_node.web.connections import Entrance, bounded_connections

_LOGGER = logging.getLogger(__name__)

#: An idle connection is closed after so long.
_KEEP_ALIVE_S = 15
#: How often `start` looks whether the thread listens.
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class WebListener:
    """Where the web server listens."""

    host: str
    port: int
    #: For a request's header to come whole.
    header_s: float
    #: None: plain HTTP.
    tls: ServerTls | None = None
    #: With those that are idle; more are hung up on.
    most_connections: int = 128


class WebServer:
    """Serves these routes; uploads under way at `stop` may finish within its grace."""

    def __init__(self, listener: WebListener, routes: Sequence[Route]) -> None:
        self._listener = listener
        self._application = Starlette(routes=list(routes), exception_handlers={Exception: _fault})
        self._application.router.redirect_slashes = False
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and listen. Raises OSError, its filename the address, when the port is taken."""
        bound = Entrance(self._listener.host, self._listener.port, self._listener.most_connections)
        self._server = uvicorn.Server(self._configuration())
        self._thread = threading.Thread(target=self._run, args=(self._server, bound), name="web", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(_POLL_S)
        if not self._server.started:
            raise OSError(errno.EIO, "the web server did not start", f"{self._listener.host}:{self._listener.port}")
        _LOGGER.info(
            "Listening for HTTP%s on %s:%d",
            "S" if self._listener.tls else "",
            self._listener.host,
            self._listener.port,
            extra={"action": "web_started"},
        )

    def stop(self, grace_s: float = 10.0) -> None:
        """Take no more connections, let uploads finish within `grace_s`, cut off what is still open."""
        if self._server is None or self._thread is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, int(grace_s))
        self._server.should_exit = True
        self._thread.join()
        self._server = self._thread = None
        _LOGGER.info("Stopped listening for HTTP", extra={"action": "web_stopped"})

    def _configuration(self) -> uvicorn.Config:
        tls = self._listener.tls
        return uvicorn.Config(
            self._application,
            http=bounded_connections(self._listener.header_s),
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # addresses are those of the connections, not what a caller says of itself
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            ssl_context_factory=None if tls is None else lambda _config, _default: _renewing(tls),
        )

    @staticmethod
    def _run(server: uvicorn.Server, bound: socket.socket) -> None:
        async def serve() -> None:
            asyncio.get_running_loop().set_exception_handler(_loop_fault)
            await server.serve(sockets=[bound])

        asyncio.run(serve())


def _renewing(tls: ServerTls) -> ssl.SSLContext:
    """A context that takes renewed files for each new connection: asyncio keeps the one it was given."""
    context = tls.context()

    def renew(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = tls.context()

    context.sni_callback = renew
    return context


async def _fault(request: Request, error: Exception) -> Response:
    """The last resort: whatever fails, the caller gets a true status, and no word of what it was."""
    _LOGGER.error(
        "Failed to answer %s by a fault of this node: %s (%s)",
        request.method,
        type_and_place(error),
        call_path(error),
        extra={"action": "web_fault"},
    )
    return Response(status_code=500)


def _loop_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """The library's own word on it has a traceback, and that may quote a patient."""
    error = context.get("exception")
    told = type_and_place(error) if isinstance(error, BaseException) else "without an exception"
    _LOGGER.error("A connection broke off by a fault of this node: %s", told, extra={"action": "web_fault"})
