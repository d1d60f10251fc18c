"""Storage as STOW-RS user agent (PS3.18 10.5): files to one web server, one request for each.

A file goes as it is stored, undecoded, read from the disk as it is sent. No proxy is used, no redirection followed:
this node talks to the peer that is configured, and to nobody else.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from pydicom.filereader import read_file_meta_info
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ReadTimeoutError, SSLError

from dicom_node.credentials import authorization
from dicom_node.domain.errors import ObjectRejected, PeerUnavailable, PeerUnreachable, SettingsError
from dicom_node.domain.web import WebDestination
from dicom_node.https import https_context
from dicom_node.sendable import meta_of_file
from dicom_node.stow_answers import StowAnswer, judge, range_of
from dicom_node.tls import why_no_tls

_LOGGER = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 10.0
#: For the answer, once everything is sent; and for each piece of it.
_ANSWER_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20
#: An answer to one instance is far shorter; what is longer is none.
_LONGEST_ANSWER_BYTES = 1 << 20


class StowSender:
    """Sends files to one web server over connections that stay open between them."""

    def __init__(self, pool: urllib3.PoolManager, destination: WebDestination, headers: dict[str, str]) -> None:
        self._pool = pool
        self._destination = destination
        self._headers = headers
        self._lost = False

    @property
    def peer(self) -> str:
        """The destination's name in the configuration."""
        return self._destination.name

    @property
    def refused_classes(self) -> frozenset[str]:
        """None: a web server tells with its answer what it does not take."""
        return frozenset()

    def send(self, path: Path) -> int:
        """Store the object at `path` at the peer; the status, success or warning.

        Raises PeerUnreachable (retry, with a new sender), PeerRefused (retry later), SopClassRefused (something else
        may take its place) or ObjectRejected (final).
        """
        uid, sop_class_uid = _identifiers(path)
        if self._lost:
            raise PeerUnreachable(f"{self._destination} was lost before {uid} was sent")
        try:
            status = judge(self._store(path), str(self._destination), uid, sop_class_uid)
        except PeerUnreachable:
            self._lost = True
            raise
        if status:
            told = ("%s took %s with warning 0x%04X", self._destination, uid, status)
            _LOGGER.info(*told, extra={"action": "stored_with_warning"})
        return status

    def probe(self) -> int:
        """Store nothing: a request without a part, which passes everything that stands before the store.

        The HTTP status, which may be that of a failure: nothing was stored. Raises PeerUnreachable where no object
        would be taken, either.
        """
        boundary = uuid.uuid4().hex
        answer = self._post(f"--{boundary}--\r\n".encode(), boundary)
        if range_of(answer.http_status).of_server:
            judge(answer, str(self._destination), "a request without an instance")
        return answer.http_status

    def _store(self, path: Path) -> StowAnswer:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        try:
            length = len(head) + path.stat().st_size + len(tail)
        except FileNotFoundError as error:  # removed since its meta information was read
            raise ObjectRejected(f"{path} is gone; it cannot be sent") from error
        return self._post(_pieces(head, path, tail), boundary, length)

    def _post(self, body: bytes | Iterator[bytes], boundary: str, length: int | None = None) -> StowAnswer:
        headers = self._headers | {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Accept": "application/dicom+json",
        }
        if length is not None:
            headers["Content-Length"] = str(length)
        try:
            response = self._pool.request(
                "POST", f"{self._destination.url}/studies", body=body, headers=headers, preload_content=False
            )
            try:
                told = response.read(_LONGEST_ANSWER_BYTES + 1)
            finally:
                response.close()
        except HTTPError as error:
            raise PeerUnreachable(f"{self._destination} {_reason(error)}") from error
        return StowAnswer(response.status, told, response.headers.get("Retry-After", ""))


@contextmanager
def open_stow(destination: WebDestination) -> Iterator[StowSender]:
    """A sender for any objects; the connection comes with the first.

    Raises PeerUnavailable when files of ours, such as the token's, cannot be used: renewed ones are tried later.
    """
    try:
        headers = {"User-Agent": "dicom-node"}
        if destination.credentials is not None:
            headers["Authorization"] = authorization(destination.credentials)
        context = https_context(destination.https)
    except SettingsError as error:
        raise PeerUnavailable(f"nothing can be sent to {destination}: {error}") from error
    pool = urllib3.PoolManager(
        maxsize=1,
        retries=False,
        timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_ANSWER_TIMEOUT_S),
        ssl_context=context,
    )
    with pool:
        yield StowSender(pool, destination, headers)


def _identifiers(path: Path) -> tuple[str, str]:
    """SOP Instance and SOP Class UID by a file's meta information (PS3.10).

    Raises ObjectRejected when it is gone or has none.
    """
    with meta_of_file(path):
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPInstanceUID), str(meta.MediaStorageSOPClassUID)


def _reason(error: HTTPError) -> str:
    if isinstance(error, SSLError) and isinstance(error.args[0], OSError):
        reason, remedy = why_no_tls(error.args[0])
        return f"cannot be reached over TLS: {reason}; {remedy}"
    if isinstance(error, ConnectTimeoutError):
        return "takes no connection; is it running, and is its URL right?"
    if isinstance(error, ReadTimeoutError):
        return f"gave no answer within {_ANSWER_TIMEOUT_S:g} s"
    return f"broke the connection off, or does not speak HTTP ({type(error).__name__})"


def _pieces(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece
    yield tail
