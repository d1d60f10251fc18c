"""One C-STORE over a connection whose association stands: its request as P-DATA-TF PDUs (PS3.8 9.3.5), its response.

Data sets go from where they are stored to the connection as they are: read into one buffer, between the headers that
stand there already. Nothing here knows what opened the association; that is the business of store_line.py.
"""

from __future__ import annotations

import io
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dicom_node.pdata import COMMAND, ITEM_HEADER, LAST, P_DATA_TF, PDU_HEADER
from dicom_node.store_commands import store_request

#: A peer may allow any length, or say that there is no limit (0); longer ones were measured no faster.
_LONGEST_PDU = 131072
#: What is written at once; PDUs of the longest kind fill it eight times.
_BUFFER_BYTES = 1 << 20
#: PDU type, its length after these six bytes; then of its one item the length, context ID and control header.
_FRAME = struct.Struct(">BBLLBB")
#: What the peer's maximum counts beside the fragment itself (PS3.8 D.1.1).
_COUNTED = _FRAME.size - PDU_HEADER.size
#: Message control header (PS3.8 E.2).
_DATA_SET = 0
_SOME_MORE = 2


class DataSetCutShort(Exception):
    """The data set cannot be read to its end; `begun`: after its first part was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.begun = False


class NoResponse(Exception):
    """Nothing came that answers the request: a time-out, an abort, the end of the connection, or something else.

    `cut`: in the midst of the request, so that the peer would take whatever is sent next for a part of it.
    """

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


class StoredBytes(Protocol):
    """An encoded data set, from its first byte on."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer as far as possible; how many bytes, 0 at the end."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What a C-STORE-RQ says (PS3.7 9.3.1.1), at medium priority, and the presentation context it goes by."""

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str

    def command_set(self) -> bytes:
        """Encoded, implicit VR little endian."""
        return store_request(self.message_id, self.sop_class_uid, self.sop_instance_uid)


class PduBuffer:
    """Makes the PDUs of messages, one after the other, in memory that is used again and again.

    `maximum_length`: the longest that the peer takes, as it said (PS3.8 D.1.1). Raises ValueError when no fragment
    fits into it.
    """

    def __init__(self, maximum_length: int) -> None:
        longest = min(maximum_length or _LONGEST_PDU, _LONGEST_PDU)
        # fragments of an odd length belong at the end of a message only: receivers refuse others
        self._fragment = (longest - _COUNTED) // 2 * 2
        if self._fragment <= 0:
            raise ValueError(f"PDUs of {maximum_length} bytes hold no data")
        frames = max(1, _BUFFER_BYTES // (self._fragment + _FRAME.size))
        self._view = memoryview(bytearray(frames * (self._fragment + _FRAME.size)))

    def filled(self, request: StoreRequest, data: StoredBytes, size: int) -> Iterator[memoryview]:
        """All PDUs of a request whose data set has `size` bytes, as many at once as there is room for.

        Each is to be sent before the next is asked for. Raises DataSetCutShort.
        """
        command = request.command_set()
        view, used = self._view, 0
        parts: tuple[tuple[StoredBytes, int, int], ...] = (
            (io.BytesIO(command), len(command), COMMAND),
            (data, size, _DATA_SET),
        )
        for source, whole, kind in parts:
            for at in range(0, whole, self._fragment):
                length = min(whole - at, self._fragment)
                if used + _FRAME.size + length > len(view):
                    yield view[:used]
                    used = 0
                control = kind | LAST if at + length == whole else kind
                counted = length + _COUNTED
                _FRAME.pack_into(view, used, P_DATA_TF, 0, counted, length + _SOME_MORE, request.context_id, control)
                start, used = used + _FRAME.size, used + _FRAME.size + length
                _fill(view[start:used], source)
        yield view[:used]


def _fill(part: memoryview, source: StoredBytes) -> None:
    while part:
        try:
            count = source.readinto(part)
        except OSError as error:
            raise DataSetCutShort(error.strerror or type(error).__name__) from error
        if not count:
            raise DataSetCutShort("it is shorter than it was")
        part = part[count:]


def send_request(connection: socket.socket, pdus: Iterator[memoryview], patience_s: float) -> None:
    """Write the PDUs of one message; `patience_s` is how long the peer may take none of it.

    Raises NoResponse when the connection is of no use any more, DataSetCutShort.
    """
    connection.settimeout(patience_s)
    begun = False
    try:
        for part in pdus:
            left = part
            while left:
                left = left[connection.send(left) :]
                begun = True
    except DataSetCutShort as error:
        error.begun = begun
        raise
    except OSError as error:
        raise NoResponse(type(error).__name__, cut=True) from error


def receive_response(connection: socket.socket, patience_s: float) -> bytes:
    """The command set of the next message, encoded; it must be whole after `patience_s`. Raises NoResponse."""
    deadline = time.monotonic() + patience_s
    command = b""
    while True:
        pdu_type, length = PDU_HEADER.unpack(_received(connection, PDU_HEADER.size, deadline))
        if pdu_type != P_DATA_TF or length > _LONGEST_PDU:
            raise NoResponse(f"a PDU of type {pdu_type} and {length} bytes")
        for control, fragment in _items(_received(connection, length, deadline)):
            if not control & COMMAND or len(command) + len(fragment) > _LONGEST_PDU:
                raise NoResponse("a message that is no response to a C-STORE")
            command += fragment
            if control & LAST:
                return command


def _items(pdu: bytes) -> Iterator[tuple[int, bytes]]:
    """Control header and fragment of each presentation data value (PS3.8 9.3.5.1)."""
    at = 0
    while at < len(pdu):
        if at + ITEM_HEADER.size > len(pdu):
            raise NoResponse("an item that is cut short")
        length, _, control = ITEM_HEADER.unpack_from(pdu, at)
        end = at + 4 + length
        if length < _SOME_MORE or end > len(pdu):
            raise NoResponse("an item of a length that cannot be")
        yield control, pdu[at + ITEM_HEADER.size : end]
        at = end


def _received(connection: socket.socket, count: int, deadline: float) -> bytes:
    """So many bytes and none after them, which are for others to read."""
    found = b""
    while len(found) < count:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise NoResponse("TimeoutError")
        connection.settimeout(left_s)
        try:
            some = connection.recv(count - len(found))
        except OSError as error:
            raise NoResponse(type(error).__name__) from error
        if not some:
            raise NoResponse("the connection was closed")
        found += some
    return found
