"""The P-DATA path of C-STORE: one thread of the association reads the connection and writes the file.

pynetdicom's reactor and its state machine stay in charge (docs/decisions/fast-receive-path.md). This stands where the
reactor looks whether something has come: it waits there instead of polling, and takes C-STORE requests out of the
stream while the association is in data transfer. All other PDUs and messages go on to pynetdicom as they came.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from pynetdicom import pdu
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.bounded_socket import AWAITING_CLOSE, BEFORE_REQUEST, CLOSED, BoundedSocket
from dicom_node.pdata import (
    COMMAND,
    LAST,
    P_DATA_TF,
    InvalidPduError,
    PdataReader,
    PduTooLongError,
    Piece,
    command_pdus,
)
from dicom_node.store_commands import StoreCommand
from dicom_node.store_stream import Answer, Foreign, Reception, StoreStream
from dicom_node.wakening import LOOK_EVERY_S, Bell, Checkpoint

#: Ready for data transfer (PS3.8 Table 9-3).
_DATA_TRANSFER = "Sta6"
#: Events of PS3.8 Table 9-10, as pynetdicom calls them.
_P_DATA_CAME, _INVALID_PDU = "Evt10", "Evt19"
#: Between the A-ASSOCIATE-AC and the moment at which pynetdicom counts the association as established.
_MOMENT_S = 0.001
#: Given the association, a request and its presentation context; None: it is not for storage.
BeginStore = Callable[[Association, StoreCommand, int], Reception | None]


class StreamingProvider(DULServiceProvider):
    """pynetdicom's upper layer provider, which waits without polling, and receives C-STORE requests itself.

    What a peer does next, another service's message or an end, finds its objects recorded: `flush` waits for that.
    """

    def __init__(
        self,
        association: Association,
        begin: BeginStore,
        flush: Callable[[], object],
        abused: Callable[[str], None],
        idle_s: float,
    ) -> None:
        super().__init__(association)
        self._flush = flush
        self._run_loop_delay = 0.0  # the reactor waits in `_is_transport_event`
        self._abused = abused
        self._idle_s = idle_s
        self._bell = Bell()
        self._checkpoint = Checkpoint(self._has_news)
        association._reactor_checkpoint = cast(threading.Event, self._checkpoint)
        self._pdata = PdataReader()
        self._pdu_until = math.inf
        self._stores = StoreStream(partial(begin, association))

    def run_reactor(self) -> None:
        """pynetdicom's; when it ends nothing is left half received."""
        try:
            super().run_reactor()
        finally:
            self._kill_thread = True
            self._stores.abandon()
            self._bell.close()
            self._checkpoint.ring()
            if self.assoc.requestor.primitive is None:
                self.to_user_queue.put(None)  # none will come, and the association's thread waits for it

    def send_pdu(self, primitive: object) -> None:
        """Called by other threads."""
        super().send_pdu(primitive)  # type: ignore[arg-type]
        self._bell.ring()

    def kill_dul(self) -> None:
        """Called by other threads, too."""
        super().kill_dul()
        self._bell.ring()

    def stop_dul(self) -> bool:
        """Called by other threads."""
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
        return super().stop_dul()

    def _has_news(self) -> bool:
        """Whether there is something for the association's thread to do."""
        return bool(self.to_user_queue.queue or self.assoc.dimse.msg_queue.queue or self._kill_thread)

    def _is_transport_event(self) -> bool:
        """Wait until something happens; whether something has come. Called by the reactor, over and over."""
        if not self.event_queue.empty():
            return False  # first things first
        if self._has_news():
            self._checkpoint.ring()
        try:
            return self._has_come(cast(BoundedSocket, self.socket))
        except InvalidPduError as error:
            self._flush()
            self._abused(str(error))
            self.event_queue.put(_INVALID_PDU)
        except OSError:
            self._flush()
            self.event_queue.put(CLOSED)
        return True

    def _has_come(self, source: BoundedSocket) -> bool:
        state = self.state_machine.current_state
        if state == AWAITING_CLOSE:
            return super()._is_transport_event()
        if state not in BEFORE_REQUEST:
            self._bell.open()  # not for everybody who connects
        if not source.unread and not self._await(source):
            return False
        if state != _DATA_TRANSFER:
            return super()._is_transport_event()
        if not self.assoc.is_established:
            time.sleep(_MOMENT_S)
            return False
        return self._transfer(source)

    def _await(self, source: BoundedSocket) -> bool:
        """Whether more came. Raises OSError when the rest of a PDU does not come in time."""
        if self._kill_thread or self.to_provider_queue.queue:
            return False
        timeout_s = min(LOOK_EVERY_S, self._pdu_until - time.monotonic())
        has_come = source.wait(self._bell, timeout_s, self._pdata.pdu_left)
        if time.monotonic() >= self._pdu_until:
            raise source.stalled("message")
        return has_come

    def _transfer(self, source: BoundedSocket) -> bool:
        """Take P-DATA-TF PDUs, until there is something else to do. Whether anything came."""
        while True:
            unread = source.unread
            if self._pdata.is_between_pdus and unread:
                if unread[0] != P_DATA_TF:
                    self._pdu_until = math.inf
                    self._flush()
                    return super()._is_transport_event()
                self._pdu_until = min(self._pdu_until, time.monotonic() + self._idle_s)
            try:
                used, piece = self._pdata.read(unread)
            except PduTooLongError as error:
                raise source.too_long(error.length) from error
            source.use(used)
            if piece is None:
                if not self._await(source):
                    return False
                if not source.fill():
                    raise ConnectionAbortedError("the caller hung up")
                self._idle_timer.restart()
                continue
            if self._pdata.is_between_pdus:
                self._pdu_until = math.inf
            if self._take(piece, source):
                return True

    def _take(self, piece: Piece, source: BoundedSocket) -> bool:
        """Whether it is pynetdicom's turn."""
        source.count(len(piece.data))
        if self.assoc.dimse.message is not None:  # of another service, and under way
            control = (COMMAND if piece.is_command else 0) | (LAST if piece.is_last else 0)
            self._hand_over(piece.context_id, control, piece.data)
            return True
        outcome = self._stores.take(piece)
        if isinstance(outcome, Foreign):
            self._flush()
            self._hand_over(outcome.context_id, COMMAND | LAST, outcome.command)
            return True
        if outcome is not None:
            self._answer(outcome, source)
        return False

    def _hand_over(self, context_id: int, control: int, data: bytes | memoryview) -> None:
        """Have the reactor find it as if pynetdicom itself had read it."""
        primitive = P_DATA()
        fragments = [[context_id, bytes([control]) + data]]
        # pynetdicom declares tuples, and takes lists only
        primitive.presentation_data_value_list = cast("list[tuple[int, bytes]]", fragments)
        self._recv_pdu.put(pdu.P_DATA_TF(primitive))
        self.event_queue.put(_P_DATA_CAME)

    def _answer(self, answer: Answer, source: BoundedSocket) -> None:
        source.message_ended()
        for each in command_pdus(answer.context_id, answer.command, self.assoc.dimse.maximum_pdu_size):
            source.send(each)
        self._idle_timer.restart()
