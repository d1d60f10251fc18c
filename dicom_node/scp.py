"""The Storage and Verification SCP: associations in, each C-STORE to the receiver, its outcome back as a status.

It never decodes a data set, and never answers success before the receiver has kept and recorded the object.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt, sop_class
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node import transfer_syntaxes
from dicom_node.attendance import Attendance, Refusal, Writing
from dicom_node.domain.errors import CannotUnderstand, ReceiveError
from dicom_node.domain.study import Instance
from dicom_node.faults import call_path, type_and_place
from dicom_node.peers import VERIFICATION, application_entity, send_without_delay
from dicom_node.receiving import Arrival, Receiver
from dicom_node.store import Receipt

_LOGGER = logging.getLogger(__name__)

_SUCCESS = 0x0000
#: Error Comment (0000,0902) is LO: at most 64 characters (PS3.7 C.4).
_LONGEST_COMMENT = 64
#: pynetdicom's own limit must never decide; admission does.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the SCP listens, and as whom."""

    ae_title: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """Who asks to come in."""

    calling_ae_title: str
    called_ae_title: str
    #: The peer's IP address.
    address: str
    #: Associations open now, this one not counted.
    open_associations: int


#: None lets the association in.
Admission = Callable[[AssociationRequest], Refusal | None]


class StorageScp:
    """Listens between `start` and `stop`.

    `on_stored` runs in the association's thread, before the answer, after each new instance; it must not raise.
    """

    def __init__(
        self,
        listener: Listener,
        receiver: Receiver,
        admission: Admission,
        on_stored: Callable[[Instance], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._listener = listener
        self._receiver = receiver
        self._admission = admission
        self._on_stored = on_stored
        self._clock = clock
        self._attendance = Attendance()
        self._writing = Writing()
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Bind and listen. Raises OSError when the port is taken."""
        entity = accepting_entity(self._listener.ae_title)
        handlers: list[EventHandlerType] = [
            (evt.EVT_CONN_OPEN, send_without_delay),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_C_STORE, self._store),
        ]
        self._writing = Writing()
        address = (self._listener.host, self._listener.port)
        self._server = entity.start_server(address, block=False, evt_handlers=handlers)
        _LOGGER.info(
            "Listening as %s on %s:%d",
            self._listener.ae_title,
            *address,
            extra={"action": "scp_started"},
        )

    def stop(self, grace_s: float = 10.0) -> None:
        """Take no more associations, let objects being written finish within `grace_s`, abort what is still open."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        finished = self._writing.close(grace_s)
        abort_all(server.active_associations, grace_s)
        _LOGGER.info(
            "Stopped listening%s",
            "" if finished else "; objects still being written were cut off, their senders will send them again",
            extra={"action": "scp_stopped"},
        )

    def open_associations(self, study_instance_uid: str) -> int:
        """Associations that have stored an object of this study and are still open."""
        return self._attendance.serving(study_instance_uid)

    def _admit(self, event: Event) -> None:
        association = event.assoc
        refusal = self._attendance.enter(association, lambda others: self._admission(_request_of(association, others)))
        if refusal is None:
            return
        who = _request_of(association, others=0)
        _LOGGER.warning(
            "Rejected %r from %s, which called %r (this node is %r): %s",
            who.calling_ae_title,
            who.address,
            who.called_ae_title,
            self._listener.ae_title,
            refusal.reason,
            extra={"action": "association_rejected"},
        )
        association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
        association.kill()

    def _store(self, event: Event) -> Dataset:
        request = cast(C_STORE, event.request)
        try:
            with self._writing.one_more():
                self._receive(event, request)
        except ReceiveError as error:
            return _failure(error, request)
        except Exception as error:  # noqa: BLE001  # the last resort of the SCP: whatever fails, the sender gets a true status
            _LOGGER.error(  # noqa: TRY400  # a traceback would quote messages, and they may quote the patient
                "Failed to keep %s by a fault of this node: %s (%s)",
                request.AffectedSOPInstanceUID,
                type_and_place(error),
                call_path(error),
                extra={"action": "store_fault"},
            )
            return _failure(CannotUnderstand(f"fault of this node: {type(error).__name__}"), request)
        return _status(_SUCCESS)

    def _receive(self, event: Event, request: C_STORE) -> None:
        if request.DataSet is None:
            raise CannotUnderstand("the request has no data set")
        calling = event.assoc.requestor.ae_title
        arrival = Arrival(
            dataset=event.encoded_dataset(include_meta=False),
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            calling_ae_title=calling.strip(),
        )
        recorded = self._receiver.receive(arrival, now=self._clock())
        self._attendance.stored(event.assoc, recorded.instance.study_instance_uid)
        if recorded.receipt is Receipt.NEW:
            self._on_stored(recorded.instance)


def accepting_entity(ae_title: str) -> AE:
    """The application entity that listens, with every presentation context it accepts."""
    entity = application_entity(ae_title)
    entity.maximum_associations = _NO_LIMIT
    entity.add_supported_context(VERIFICATION, transfer_syntaxes.UNCOMPRESSED)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(cast(str, context.abstract_syntax), transfer_syntaxes.ACCEPTED)
    return entity


def name_of(uid: str) -> str:
    """The registered name of a SOP class or transfer syntax (PS3.6 A), or the keyword pynetdicom knows it by."""
    name = UID(uid).name
    return next((keyword for keyword, known in vars(sop_class).items() if known == uid), uid) if name == uid else name


def abort_all(associations: list[Association], timeout_s: float) -> None:
    """Abort each, all at once: a peer that does not hang up would make each wait for its timer."""
    threads = [threading.Thread(target=association.abort, daemon=True) for association in associations]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))


def _request_of(association: Association, others: int) -> AssociationRequest:
    primitive = cast(A_ASSOCIATE, association.requestor.primitive)
    return AssociationRequest(
        calling_ae_title=str(primitive.calling_ae_title).strip(),
        called_ae_title=str(primitive.called_ae_title).strip(),
        address=str(association.requestor.address),
        open_associations=others,
    )


def _failure(error: ReceiveError, request: C_STORE) -> Dataset:
    _LOGGER.warning(
        "Answered 0x%04X to %s: %s",
        error.status,
        request.AffectedSOPInstanceUID,
        error,
        extra={"action": "store_refused"},
    )
    return _status(error.status, str(error))


def _status(status: int, comment: str = "") -> Dataset:
    response = Dataset()
    response.Status = status
    if comment:
        response.ErrorComment = comment[:_LONGEST_COMMENT].replace("\\", "/")
    return response
