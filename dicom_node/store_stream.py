"""C-STORE requests out of the pieces of a P-DATA stream; what belongs to other services is told apart and passed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.pdata import InvalidPduError, Piece
from dicom_node.store_commands import StoreCommand, store_command_in

#: No command set of PS3.7 comes near.
LONGEST_COMMAND_BYTES = 1 << 16


class Reception(Protocol):
    """One C-STORE request while its data set comes. No method raises."""

    def take(self, data: memoryview) -> None:
        """The next bytes of the data set."""

    def answer(self) -> bytes:
        """The data set is whole: the command set of the response."""

    def abandon(self) -> None:
        """It will never be whole."""


#: The reception of a request in a presentation context; None: it is not for storage.
Begin = Callable[[StoreCommand, int], Reception | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A request was received whole: the command set of the response, and its presentation context."""

    context_id: int
    command: bytes


@dataclass(frozen=True, slots=True)
class Foreign:
    """A command set that is no C-STORE request; the data set that may follow belongs to it."""

    context_id: int
    command: bytes


class StoreStream:
    """One association's requests, one after the other."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._command = bytearray()
        self._context_id = 0
        self._reception: Reception | None = None

    def take(self, piece: Piece) -> Answer | Foreign | None:
        """The next piece, unless it is of a data set that follows a Foreign. Raises InvalidPduError."""
        if piece.is_command:
            return self._take_command(piece)
        if self._reception is None:
            raise InvalidPduError("a data set without a command set")
        if piece.context_id != self._context_id:
            raise InvalidPduError("a data set in the presentation context of another")
        self._reception.take(piece.data)
        if not piece.is_last:
            return None
        reception, self._reception = self._reception, None
        return Answer(self._context_id, reception.answer())

    def abandon(self) -> None:
        """Nothing comes any more."""
        if self._reception is not None:
            self._reception.abandon()
            self._reception = None

    def _take_command(self, piece: Piece) -> Foreign | None:
        if self._reception is not None:
            raise InvalidPduError("a command set in the middle of a data set")
        self._command += piece.data
        if len(self._command) > LONGEST_COMMAND_BYTES:
            raise InvalidPduError("a command set without an end")
        if not piece.is_last:
            return None
        content = bytes(self._command)
        self._command.clear()
        self._context_id = piece.context_id
        command = store_command_in(content)
        if command is not None:
            self._reception = self._begin(command, piece.context_id)
        return None if self._reception is not None else Foreign(piece.context_id, content)
