"""OHIF as a web site on the loopback interface: its files, our configuration, and the archive behind one origin."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from tests.builders.network import HOST

CONFIGURATION = Path(__file__).with_name("app-config.js")
#: A large multipart answer on a busy machine.
_ARCHIVE_PATIENCE_S = 60.0
#: OHIF computes in threads with shared memory, which a browser allows to isolated pages only.
_ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: The address bar belongs to OHIF: a path that is no file is one of its pages.
_PAGE = "/index.html"
#: Would keep pages from one test for the next.
_SERVICE_WORKER = frozenset({"/init-service-worker.js", "/sw.js"})


class OhifRequestHandler(SimpleHTTPRequestHandler):
    """Answers one connection; `archive_port` is where Orthanc listens."""

    protocol_version = "HTTP/1.1"
    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments, archive_port: int, **options) -> None:
        self._archive_port = archive_port
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """A file of OHIF, our configuration, or what the archive has."""
        path = urlsplit(self.path).path
        if path.startswith("/dicom-web/"):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(HTTPStatus.OK, "text/javascript", CONFIGURATION.read_bytes())
        elif path in _SERVICE_WORKER:
            self._answer(HTTPStatus.OK, "text/javascript", b"")
        else:
            if not Path(path).suffix:
                self.path = _PAGE
            super().do_GET()

    def end_headers(self) -> None:
        """Every answer isolates the page."""
        for name, value in _ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments) -> None:  # noqa: A002, named by the base class
        """Stay silent: the browser reports what failed."""

    def _pass_on(self) -> None:
        """Orthanc writes the host it was asked as into addresses of bulk data: it is told ours."""
        archive = http.client.HTTPConnection(HOST, self._archive_port, timeout=_ARCHIVE_PATIENCE_S)
        try:
            archive.request("GET", self.path, headers={"Host": self.headers["Host"], "Accept": self.headers["Accept"]})
            answer = archive.getresponse()
            self._answer(answer.status, answer.headers["Content-Type"], answer.read())
        except OSError:
            self.send_error(HTTPStatus.BAD_GATEWAY)
        finally:
            archive.close()

    def _answer(self, status: int, content_type: str | None, body: bytes) -> None:
        self.send_response(status)
        if content_type is not None:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving_ohif(dist: Path, archive_port: int) -> Iterator[str]:
    """The site's origin while the block runs; `dist` is OHIF's folder of built files."""
    handler = partial(OhifRequestHandler, directory=str(dist), archive_port=archive_port)
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="ohif")
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
