"""A caller's connection, read within the bounds on time and size; what is read ahead waits in one buffer.

Whoever breaks a bound is told of, and the connection counts as closed.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from dicom_node.domain.bounds import Bounds
from dicom_node.domain.calls import CallOutcome
from dicom_node.pdata import LONGEST_PDU_BYTES
from dicom_node.wakening import Bell

#: An object above the bound is refused when all of it has come; from so many bounds on its association is ended.
DRAINED = 4
#: Two of the longest P-DATA-TF that this node asks for.
_BUFFER_BYTES = 2 * 131072
#: What a socket's buffer holds however little memory the system gives it.
_AT_ONCE_BYTES = 65536
#: The states of the association before its request has come (PS3.8 Table 9-2); its first bytes may come before
#: pynetdicom has taken note of the connection.
BEFORE_REQUEST = frozenset({"Sta1", "Sta2"})
#: The association is over, and so is what is still to come.
AWAITING_CLOSE = "Sta13"
#: The event of a connection that was closed (PS3.8 Table 9-10).
CLOSED = "Evt17"


@dataclass(frozen=True, slots=True)
class Dismissal:
    """A caller that was sent away by the door."""

    address: str
    outcome: CallOutcome
    reason: str
    remedy: str
    #: None before there was one.
    association: Association | None = None


class BoundedSocket(AssociationSocket):
    """Reads ahead for the P-DATA path, and a PDU whole for pynetdicom."""

    def __init__(
        self,
        association: Association,
        client_socket: socket.socket,
        bounds: Bounds,
        dismissed: Callable[[Dismissal], None],
    ) -> None:
        super().__init__(association, client_socket=client_socket)
        self._bounds = bounds
        self._dismissed = dismissed
        self._opened_at = time.monotonic()
        self._message_bytes = 0
        self._buffer = memoryview(b"")
        self._begin = self._end = 0
        client_socket.settimeout(bounds.idle_s)

    @property
    def unread(self) -> memoryview:
        """What came and is not done with; it is gone at the next `fill`."""
        return self._buffer[self._begin : self._end]

    def use(self, nr_bytes: int) -> None:
        """So many of the unread bytes are done with."""
        self._begin += nr_bytes

    def fill(self) -> bool:
        """Read what is there, without waiting; False when the caller hung up. Raises OSError as the connection does."""
        if not self._buffer:
            self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        rest = bytes(self.unread)  # a header that was cut off
        self._buffer[: len(rest)] = rest
        self._begin, self._end = 0, len(rest)
        count = self._receive(self._buffer[self._end :])
        self._end += count or 0
        return count != 0

    def wait(self, bell: Bell, timeout_s: float, expected_bytes: int = 0) -> bool:
        """Wait until more has come, the bell rings or the time is over; whether more has.

        Of so many bytes that are sure to come much is waited for: each time this thread goes on costs it, and all
        others, more than the bytes do.
        Raises OSError when the connection was closed by another thread.
        """
        connection = self.socket
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        descriptor = -1 if connection is None else connection.fileno()
        if descriptor < 0:
            raise ConnectionAbortedError("the connection is closed")
        worth_waking = min(expected_bytes, _AT_ONCE_BYTES)
        # what OpenSSL has read of a TLS record is nothing that the system could count
        if connection is None or worth_waking <= 1 or isinstance(connection, ssl.SSLSocket):
            return bell.wait(descriptor, timeout_s)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, worth_waking)
        try:
            return bell.wait(descriptor, timeout_s)
        finally:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    @property
    def ready(self) -> bool:
        """Whether `recv` has something to read; pynetdicom's own knows no file descriptor above 1023."""
        connection = self.socket
        if self._begin < self._end:
            return True
        if connection is None or not self._is_connected:
            return False
        if connection.fileno() < 0:  # another thread has closed it
            self.event_queue.put(CLOSED)
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) or (isinstance(connection, ssl.SSLSocket) and bool(connection.pending()))

    def message_ended(self) -> None:
        """A DIMSE message is whole; what comes now belongs to the next."""
        self._message_bytes = 0

    def count(self, nr_bytes: int) -> None:
        """So many bytes more of the message. Raises OSError beyond what is drained of one."""
        self._message_bytes += nr_bytes
        if self._message_bytes > self._bounds.object_bytes * DRAINED:
            megabytes = self._bounds.object_bytes >> 20
            reason = f"it sent an object of more than {DRAINED} times {megabytes} MB"
            raise self.over(
                reason, f"set `receive: {{maximum_object_mb: {max(1, megabytes) * DRAINED * 2}}}`, if that is wanted"
            )

    def recv(self, nr_bytes: int) -> bytearray:
        """The next bytes of a PDU: `nr_bytes`, or fewer when the caller hung up. Raises OSError beyond the bounds."""
        state = self.assoc.dul.state_machine.current_state
        if state == AWAITING_CLOSE:
            raise ConnectionAbortedError("the association is over")
        if nr_bytes > LONGEST_PDU_BYTES:
            raise self.too_long(nr_bytes)
        self.count(nr_bytes)
        asked = state not in BEFORE_REQUEST
        until = time.monotonic() + self._bounds.idle_s if asked else self._opened_at + self._bounds.artim_s
        try:
            return self._read(nr_bytes, until)
        except TimeoutError as error:
            raise self.stalled("message" if asked else "association request") from error

    def too_long(self, nr_bytes: int) -> OSError:
        """It is told of, and the error is to be raised."""
        reason = f"it announced a PDU of {nr_bytes} bytes; the longest is {LONGEST_PDU_BYTES}"
        return self.over(reason, "look what it is; no DICOM application does that")

    def stalled(self, what: str) -> OSError:
        """As `too_long`."""
        reason = f"it stalled in the middle of a PDU ({what})"
        return self.over(
            reason, "look at network and peer; receive.artim_seconds and idle_seconds bound how long it may take"
        )

    def over(self, reason: str, remedy: str) -> OSError:
        """As `too_long`."""
        address = str(self.assoc.requestor.address)
        self._dismissed(Dismissal(address, CallOutcome.CUT_OFF, reason, remedy, self.assoc))
        return ConnectionAbortedError(reason)

    def _read(self, nr_bytes: int, until: float) -> bytearray:
        connection = cast(socket.socket, self.socket)
        received = bytearray(nr_bytes)
        have = min(nr_bytes, self._end - self._begin)
        received[:have] = self._buffer[self._begin : self._begin + have]
        self.use(have)
        with memoryview(received) as view:
            while have < nr_bytes:
                remaining = until - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError
                connection.settimeout(remaining)
                count = connection.recv_into(view[have:])
                if not count:
                    break
                have += count
        connection.settimeout(self._bounds.idle_s)
        return received if have == nr_bytes else received[:have]

    def _receive(self, space: memoryview) -> int | None:
        """How many bytes came; 0: it hung up; None: nothing is there, or no whole TLS record."""
        connection = cast(socket.socket, self.socket)
        if not isinstance(connection, ssl.SSLSocket):
            try:
                # a socket with a timeout polls before it receives, whatever the flags say
                return os.readv(connection.fileno(), [space])
            except BlockingIOError:
                return None
        connection.settimeout(0.0)
        try:
            return connection.recv_into(space)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        finally:
            connection.settimeout(self._bounds.idle_s)
