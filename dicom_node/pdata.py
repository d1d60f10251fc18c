"""P-DATA-TF PDUs (PS3.8 9.3.5, Annex E) out of a stream of bytes, in whatever pieces it comes.

It holds a place in the stream and nothing else: no socket, no copy. The fuzz tests begin here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: No PDU is longer, of any kind: this node asks for far less.
LONGEST_PDU_BYTES = 1 << 20
#: PDU type of a P-DATA-TF (PS3.8 Table 9-22).
P_DATA_TF = 4
#: Message Control Header (PS3.8 E.2).
COMMAND, LAST = 1, 2
#: Type, length.
PDU_HEADER = struct.Struct(">BxL")
#: Of a presentation data value: length, presentation context ID, Message Control Header; the length counts the two.
ITEM_HEADER = struct.Struct(">LBB")
_LENGTH_BYTES, _COUNTED_BYTES = 4, 2
#: To a peer that names no longest PDU (PS3.8 D.1.1: zero).
_UNLIMITED = 1 << 16


class InvalidPduError(ValueError):
    """What came is no P-DATA-TF."""


class PduTooLongError(InvalidPduError):
    """A P-DATA-TF that nobody should send; `length` in bytes."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a PDU of {length} bytes")
        self.length = length


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a command set or data set; they are gone when more is received."""

    context_id: int
    is_command: bool
    #: Whether the command set or data set ends with it.
    is_last: bool
    data: memoryview


class PdataReader:
    """Where in a stream of P-DATA-TF PDUs one is."""

    def __init__(self) -> None:
        self._pdu_left = 0
        self._value_left = 0
        self._context_id = 0
        self._control = 0

    @property
    def is_between_pdus(self) -> bool:
        """Whether the next byte is the first of a PDU, which may be one of another type."""
        return not self._pdu_left

    @property
    def pdu_left(self) -> int:
        """How many bytes of the PDU are still to be read; 0 between two."""
        return self._pdu_left

    def read(self, received: memoryview) -> tuple[int, Piece | None]:
        """How many bytes of `received` are done with, and the next piece; None: more must be received first.

        Raises InvalidPduError; then the stream is of no use any more.
        """
        used = 0
        if not self._value_left:
            header = self._read_headers(received)
            if header is None:
                return 0, None
            used = header
        data = received[used : used + self._value_left]
        if self._value_left and not data:
            return used, None
        self._value_left -= len(data)
        self._pdu_left -= len(data)
        is_last = bool(self._control & LAST) and not self._value_left
        return used + len(data), Piece(self._context_id, bool(self._control & COMMAND), is_last, data)

    def _read_headers(self, received: memoryview) -> int | None:
        """The bytes of the headers before the next value; None while they are not whole."""
        used, pdu_left = 0, self._pdu_left
        if not pdu_left:
            if len(received) < PDU_HEADER.size:
                return None
            pdu_type, pdu_left = PDU_HEADER.unpack_from(received)
            if pdu_type != P_DATA_TF:
                raise InvalidPduError(f"a PDU of type {pdu_type} in the place of a P-DATA-TF")
            if pdu_left > LONGEST_PDU_BYTES:
                raise PduTooLongError(pdu_left)
            used = PDU_HEADER.size
        if pdu_left < ITEM_HEADER.size:
            raise InvalidPduError("a PDU without a presentation data value")
        if len(received) < used + ITEM_HEADER.size:
            return None
        length, self._context_id, self._control = ITEM_HEADER.unpack_from(received, used)
        if not _COUNTED_BYTES <= length <= pdu_left - _LENGTH_BYTES:
            raise InvalidPduError(f"a presentation data value of {length} bytes in {pdu_left} of its PDU")
        self._value_left = length - _COUNTED_BYTES
        self._pdu_left = pdu_left - ITEM_HEADER.size
        return used + ITEM_HEADER.size


def command_pdus(context_id: int, command: bytes, longest_pdu_bytes: int) -> Iterator[bytes]:
    """A command set as P-DATA-TF PDUs, none longer than the peer takes (PS3.8 D.1.1; 0: as it comes)."""
    most = max(1, (longest_pdu_bytes or _UNLIMITED) - ITEM_HEADER.size)
    for start in range(0, len(command), most):
        fragment = command[start : start + most]
        control = COMMAND | (LAST if start + most >= len(command) else 0)
        item = ITEM_HEADER.pack(len(fragment) + _COUNTED_BYTES, context_id, control) + fragment
        yield PDU_HEADER.pack(P_DATA_TF, len(item)) + item
