"""What an association says beside C-STORE (streaming.py), held to its bounds; nonsense aborts.

pynetdicom collects a message in memory as it comes, and an exception in what it makes of one would end the thread that
reads, with a traceback, and leave the association open for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import cast

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.fsm import InvalidEventError, StateMachine
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.faults import type_and_place
from dicom_node.store_stream import LONGEST_COMMAND_BYTES

#: No data set of any service that this node offers beside storage comes near: a thousand references are 200 KB.
LONGEST_DATASET_BYTES = 16 << 20
#: Nobody may send a request before the last is answered, unless that was negotiated (PS3.7 D.3.3.3), which it never is.
_MOST_UNANSWERED = 8
#: Message Control Header (PS3.8 E.2): set in fragments of a command set, clear in those of a data set.
_COMMAND = 1
#: An unrecognised or invalid PDU (PS3.8 Table 9-10); whatever the state, the association is aborted.
_INVALID_PDU = "Evt19"
#: What this node has to say (PS3.8 9.2.2), and the state in which nobody hears it any more.
_OWN = frozenset({"Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15"})
_AWAITING_CLOSE = "Sta13"
#: What pynetdicom and pydicom raise over a PDU, a primitive or a command set that is none.
_NONSENSE = (
    ArithmeticError, AttributeError, EOFError, InvalidEventError, LookupError, NotImplementedError, OSError,
    RecursionError, TypeError, ValueError,
)  # fmt: skip


class BoundedMessages(DIMSEServiceProvider):
    """Collects messages, of a data set no more than LONGEST_DATASET_BYTES: the rest of it is read and dropped."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._command_bytes = 0
        self._dataset_bytes = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Some fragments of messages, usually of one; called in the thread that reads.

        Raises ValueError for a command set that is too long, and for a peer that does not wait for answers.
        """
        if self.msg_queue.qsize() > _MOST_UNANSWERED:
            raise ValueError("more requests than answers")
        fragments = [[context_id, self._bounded(data)] for context_id, data in primitive.presentation_data_value_list]
        # pynetdicom declares tuples, and takes lists only
        primitive.presentation_data_value_list = cast("list[tuple[int, bytes]]", fragments)
        super().receive_primitive(primitive)
        if self.message is None:
            self._command_bytes = self._dataset_bytes = 0

    def _bounded(self, data: bytes) -> bytes:
        """A fragment, or its header alone when there is too much of its data set already."""
        if not data or data[0] & _COMMAND:
            self._command_bytes += len(data)
            if self._command_bytes > LONGEST_COMMAND_BYTES:
                raise ValueError("a command set without an end")
            return data
        self._dataset_bytes += len(data) - 1
        if self._dataset_bytes <= LONGEST_DATASET_BYTES:
            return data
        if self.message is not None:
            self.message.data_set = BytesIO()  # what was kept so far is of no use
        return data[:1]


class GuardedMachine(StateMachine):
    """The states of PS3.8 9.2; what cannot be made sense of aborts the association, and is told to `abused`."""

    def __init__(self, association: Association, abused: Callable[[str], None]) -> None:
        super().__init__(association.dul)
        self._abused = abused

    def do_action(self, event: str) -> None:
        """Act on an event, and be in the next state; an event that breaks the action becomes that of an invalid PDU."""
        state = self.current_state
        if event in _OWN and state == _AWAITING_CLOSE:
            self.dul.to_provider_queue.get_nowait()
            return
        try:
            super().do_action(event)
        except _NONSENSE as error:
            if event == _INVALID_PDU:
                raise
            self._abused(f"{event} in {state}: {type_and_place(error)}")
            super().do_action(_INVALID_PDU)
