"""C-STORE on an association of pynetdicom, past its two polling threads.

pynetdicom opens the association, releases it and aborts it; in between, each C-STORE is written to the association's
own connection and answered from there, while pynetdicom's threads wait. Why and how:
docs/decisions/sending-past-pynetdicom.md.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from contextlib import suppress
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import decode
from pynetdicom.events import Event

from dicom_node.pdata_sending import (
    DataSetCutShort,
    NoResponse,
    PduBuffer,
    StoredBytes,
    StoreRequest,
    receive_response,
    send_request,
)
from dicom_node.store_commands import is_success
from dicom_node.unreadable import UNREADABLE

_LOGGER = logging.getLogger(__name__)
_C_STORE_RSP = 0x8001
_SUCCESS = 0x0000


class StoreLine:
    """Sends C-STORE requests over one association, one at a time, by one thread.

    `opened` is to be bound to the association's EVT_CONN_OPEN. From the first request on pynetdicom's threads wait;
    they go on after `finish`, which is to be called before the association is released.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._connection: socket.socket | None = None
        self._is_asking = False
        self._buffer: PduBuffer | None = None

    def opened(self, event: Event) -> None:
        """From now on pynetdicom's thread reads, and what it has begun to read it finishes, in its turn only."""
        dul = event.assoc.dul
        read = dul._is_transport_event

        def read_in_turn() -> bool:
            with self._turn:
                return read()

        dul._is_transport_event = read_in_turn  # type: ignore[method-assign]

    def store(self, association: Association, request: StoreRequest, data: StoredBytes, size: int) -> Dataset:
        """The response's command set (PS3.7 9.3.1.2); empty, and the association aborted, when none came that fits.

        Raises DataSetCutShort, and aborts when a part has been sent; ValueError when the peer takes no PDU that could
        hold anything.
        """
        if self._buffer is None:
            self._buffer = PduBuffer(association.acceptor.maximum_length or 0)
        patience_s = float(cast(float, association.dimse_timeout))  # never None: associations.py sets it
        try:
            connection = self._held(association, patience_s)
            self._is_asking = True
            send_request(connection, self._buffer.filled(request, data, size), patience_s)
            response = _understood(receive_response(connection, patience_s), request)
        except DataSetCutShort as error:
            self._is_asking = False
            if error.begun:
                self._give_up(association, cut=True)
            raise
        except NoResponse as error:
            _LOGGER.info("a C-STORE has no response: %s", error, extra={"action": "no_response"})
            self._give_up(association, cut=error.cut)
            return Dataset()
        self._is_asking = False
        return response

    def finish(self, association: Association) -> None:
        """Let pynetdicom's threads go on; aborts where something, Ctrl-C say, broke off a request in its midst."""
        if self._connection is not None and self._is_asking:
            self._give_up(association, cut=True)
        elif self._connection is not None:
            self._connection.settimeout(None)
            self._let_go(association)

    def _held(self, association: Association, patience_s: float) -> socket.socket:
        """The association's connection, which nobody else reads or writes from now on. Raises NoResponse."""
        if self._connection is None:
            if not self._turn.acquire(timeout=patience_s):
                raise NoResponse("half a PDU came, and no more", cut=True)
            association._reactor_checkpoint.clear()
            self._connection = _connection_of(association)
            if self._connection is None:
                self._let_go(association)
                raise NoResponse("the connection was closed")
        return self._connection

    def _let_go(self, association: Association) -> None:
        self._connection = None
        association.dul._idle_timer.restart()
        association._reactor_checkpoint.set()
        self._turn.release()

    def _give_up(self, association: Association, *, cut: bool) -> None:
        """Abort; where the peer would not understand an A-ABORT any more, end the connection first.

        The connection keeps its time-out, so that the abort cannot hang on a peer that takes nothing.
        """
        self._is_asking = False
        connection = _connection_of(association)
        if cut and connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._connection is not None:
            self._let_go(association)
        association.abort()


def _connection_of(association: Association) -> socket.socket | None:
    wrapper = association.dul.socket
    return None if wrapper is None else wrapper.socket


def _understood(encoded: bytes, request: StoreRequest) -> Dataset:
    """Raises NoResponse unless it is the response to the request, with a status."""
    if is_success(encoded, request.message_id):  # nearly always, and pydicom takes half as long as the sending
        response = Dataset()
        response.Status = _SUCCESS
        return response
    try:
        command = decode(io.BytesIO(encoded), True, True)
        answers = (command.get("CommandField"), command.get("MessageIDBeingRespondedTo"))
        for name in ("Status", "OffendingElement", "ErrorComment"):
            command.get(name)  # pydicom reads a value when it is asked for
    except UNREADABLE as error:
        raise NoResponse(f"what came cannot be read: {type(error).__name__}") from error
    if answers != (_C_STORE_RSP, request.message_id) or not isinstance(command.get("Status"), int):
        raise NoResponse("what came is no response to this request")
    return command
