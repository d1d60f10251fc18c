"""A web server on the loopback interface that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from dicom_node.domain.web import Credentials, HttpsFiles, Scheme, WebDestination
from tests.builders.network import HOST


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is said to it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebServer:
    """One that listens."""

    url: str
    asked: list[Asked]

    def destination(self, credentials: Credentials | None = None, https: HttpsFiles = HttpsFiles()) -> WebDestination:  # noqa: B008
        """As a peer called `web`."""
        return WebDestination("web", f"{self.url}/dicom-web", credentials, https)


def stored(uid: str, **item: int) -> bytes:
    """The body of an answer that names an instance as stored; or as failed, if there is a `failure`."""
    values: dict[str, object] = {"00081155": {"vr": "UI", "Value": [uid]}}
    for tag, name in (("00081197", "failure"), ("00081196", "warning")):
        if name in item:
            values[tag] = {"vr": "US", "Value": [item[name]]}
    sequence = "00081198" if "failure" in item else "00081199"
    return json.dumps({sequence: {"vr": "SQ", "Value": [values]}}).encode()


def secret_file(path: Path, secret: str, mode: int = 0o600) -> Path:
    """A file that holds a secret."""
    path.write_text(secret + "\n")
    path.chmod(mode)
    return path


def bearer(path: Path) -> Credentials:
    """A token in a file."""
    return Credentials(Scheme.BEARER, path)


@contextmanager
def answering(answer: Callable[[Asked], Answer | None], tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server that answers each request so, or hangs up where there is no answer."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(Asked(self.path, dict(self.headers), body))
            said = answer(asked[-1])
            if said is None:
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that hang up."""

    server = Server((HOST, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield WebServer(f"{'http' if tls is None else 'https'}://{HOST}:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
