"""Syslog: records by RFC 5424, and their way to a collector, over TLS (RFC 5425) or as datagrams (RFC 5426).

A record that went to a collector by TLS counts as arrived when the collector has closed the connection in good order
after the last of its batch. Syslog has no answer of its own; one that breaks off gets its batch again.
"""

from __future__ import annotations

import fcntl
import re
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from dicom_node.audit_text import date_time
from dicom_node.domain.audit import Collector
from dicom_node.domain.delivery import TlsFiles
from dicom_node.domain.errors import NodeError, SettingsError
from dicom_node.tls import client_context, why_no_tls

#: PS3.15 A.6: facility 10, security/authorization.
_FACILITY = 10
NOTICE, WARNING = 5, 4
_MESSAGE_ID = "DICOM+RFC3881"
_APPLICATION = "dicom-node"
#: RFC 5424 6.4: what follows is UTF-8.
_BOM = "\ufeff"
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_LONGEST_HOST = 255
#: Of each step: connection, handshake, a batch, the collector's good-bye.
_PATIENCE_S = 5.0
#: The largest payload of a UDP datagram over IPv4.
LONGEST_DATAGRAM = 65507
#: Of a TCP connection that the other end has closed in good order (Linux, net/tcp_states.h); after a reset it is 7.
_CLOSE_WAIT = 8


class CollectorError(NodeError):
    """The collector cannot take records now; the message says why and what helps."""


def syslog_record(text: str, *, host: str, process: int, at: float, severity: int = NOTICE) -> str:
    """A syslog message (RFC 5424 6) with `text` as its MSG, in UTF-8 after a byte order mark; `at` in epoch seconds."""
    name = _NOT_PRINTABLE.sub("", host)[:_LONGEST_HOST] or "-"
    header = f"<{_FACILITY * 8 + severity}>1 {date_time(at)} {name} {_APPLICATION} {process} {_MESSAGE_ID} -"
    return f"{header} {_BOM}{text}"


def framed(record: str) -> bytes:
    """Octet counting (RFC 5425 4.3): the length in bytes, a space, the record."""
    octets = record.encode()
    return b"%d %b" % (len(octets), octets)


def send_records(records: Sequence[str], collector: Collector) -> None:
    """Send all, in order; on return they have arrived as far as anybody can tell. Raises CollectorError otherwise."""
    try:
        if collector.tls is None:
            _send_datagrams(records, collector)
        else:
            _send_over_tls(b"".join(map(framed, records)), collector, collector.tls)
    except SettingsError as error:
        raise CollectorError(f"no TLS with {collector}: {error}") from error
    except ssl.SSLError as error:
        reason, remedy = why_no_tls(error)
        raise CollectorError(f"no TLS with {collector}: {reason}; {remedy}") from error
    except OSError as error:
        told = error.strerror or str(error) or type(error).__name__
        doubt = "" if collector.tls is None else ", and does it believe this node's certificate"
        raise CollectorError(
            f"no connection to {collector}: {told}; is it running, are host and port right{doubt}?"
        ) from error


def _send_over_tls(frames: bytes, collector: Collector, files: TlsFiles) -> None:
    address = (collector.host, collector.port)
    with socket.create_connection(address, _PATIENCE_S) as connection:
        talk = _Talk(connection, client_context(files), collector.host)
        talk.through(talk.tls.do_handshake)
        rest = memoryview(frames)
        while rest:
            count = talk.tls.write(rest)
            rest = rest[count:]
        # close_notify both ways (RFC 5425 4.4): it answers when it has read all, and refuses a certificate only now
        with suppress(ssl.SSLWantReadError):
            talk.tls.unwrap()
        try:
            talk.through(partial(talk.tls.read, 1))
        except ssl.SSLZeroReturnError:
            return
        except ssl.SSLEOFError:  # some hang up without a word, which says as much if they had taken everything
            if not _is_taken(connection):
                raise


class _Talk:
    """TLS over a connected socket, step by step: `SSLSocket.unwrap` by itself takes a refusal for a good-bye."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def through(self, step: Callable[[], object]) -> None:
        """Take a step of TLS to its end, which may need answers."""
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                self._flush()
                self._listen()
            else:
                return self._flush()

    def _flush(self) -> None:
        self._connection.sendall(self._outgoing.read())

    def _listen(self) -> None:
        received = self._connection.recv(1 << 16)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()


def _is_taken(connection: socket.socket) -> bool:
    """Whether every byte was acknowledged by the other end, and it did not throw any away; Linux tells."""
    unacknowledged = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return unacknowledged == 0 and state == _CLOSE_WAIT


def _send_datagrams(records: Sequence[str], collector: Collector) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(collector.host, collector.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as plain:
        plain.connect(address)  # so that a port where nobody listens is told, at the next datagram
        for record in records:
            plain.send(record.encode()[:LONGEST_DATAGRAM])
