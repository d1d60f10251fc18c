"""The Storage and Verification SCP: associations in, each C-STORE to the receiver, its outcome back as a status.

It never decodes a data set, and never answers success before the receiver has kept and recorded the object.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt, sop_class
from pynetdicom.association import Association
from pynetdicom.events import Event, EventHandlerType

from dicom_node import transfer_syntaxes
from dicom_node.admission import UNDECIDED, AssociationRequest
from dicom_node.associations import application_entity, send_without_delay
from dicom_node.attendance import Attendance, Refusal, Writing
from dicom_node.bounded_socket import Dismissal
from dicom_node.commitment_messages import STORAGE_COMMITMENT
from dicom_node.domain.bounds import Bounds
from dicom_node.domain.calls import Call, CallOutcome, RefusedContext
from dicom_node.domain.errors import CannotUnderstand
from dicom_node.domain.study import Instance
from dicom_node.listening import Door, HouseRules, open_door
from dicom_node.negotiation import refused_contexts, request_of
from dicom_node.part_file import PartFile
from dicom_node.peers import VERIFICATION
from dicom_node.receiving import Receiver, Recorded
from dicom_node.recording import Recorder
from dicom_node.store import Receipt
from dicom_node.store_answers import answer_to
from dicom_node.store_commands import StoreCommand
from dicom_node.store_reception import StoreReception, StoreRequest
from dicom_node.tls import ServerTls

_LOGGER = logging.getLogger(__name__)

_AFTER_THE_DOOR_S = 10.0
_AFTER_THE_BOUND_S = 1.0
#: pynetdicom's own limit must never decide; admission does.
_NO_LIMIT = 1_000_000
_STORED = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the SCP listens, and as whom."""

    ae_title: str
    host: str
    port: int
    bounds: Bounds = field(default_factory=Bounds)
    #: None: without TLS.
    tls: ServerTls | None = None


#: Told of each instance that was kept: over which association, who called, and what it is.
OnReceived = Callable[[Association, AssociationRequest, Recorded], None]


def _to_nobody(_association: Association, _caller: AssociationRequest, _recorded: Recorded) -> None:
    """Where nobody wants to know."""


#: None lets the association in.
Admission = Callable[[AssociationRequest], Refusal | None]


class StorageScp:
    """Listens between `start` and `stop`.

    `on_stored` runs in the association's thread, before the answer, after each new instance; `on_call` in a caller's
    thread, for each caller that was let in, rejected or sent away; `on_received` like `on_stored`, but for instances
    that were there before, too. None may raise.
    """

    def __init__(
        self,
        listener: Listener,
        receiver: Receiver,
        admission: Admission,
        on_stored: Callable[[Instance], None],
        on_call: Callable[[Call], None],
        clock: Callable[[], float] = time.time,
        on_received: OnReceived = _to_nobody,
    ) -> None:
        self._services: list[EventHandlerType] = []
        self._listener = listener
        self._receiver = receiver
        self._admission = admission
        self._on_stored = on_stored
        self._on_call = on_call
        self._clock = clock
        self._on_received = on_received
        self._attendance: Attendance[Association] = Attendance()
        self._writing = Writing()
        self._recorder = Recorder(receiver)
        self._callers: WeakKeyDictionary[Association, AssociationRequest] = WeakKeyDictionary()
        self._server: Door | None = None

    def also_serve(self, services: Iterable[EventHandlerType]) -> None:
        """Have handlers of another service answer its messages, from the next `start` on."""
        self._services.extend(services)

    def tell_of_ends(self, on_end: Callable[[], None]) -> None:
        """Have `on_end`, which must not raise, run when an association or its connection has ended."""
        endings = (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)
        self.also_serve((ending, lambda _event: on_end()) for ending in endings)

    def start(self) -> None:
        """Bind and listen. Raises OSError when the port is taken."""
        listener = self._listener
        entity = accepting_entity(listener.ae_title)
        # the door keeps the bound; pynetdicom, at the same moment, would stop to wait for what has just come
        entity.acse_timeout = listener.bounds.artim_s + _AFTER_THE_DOOR_S
        # within a PDU the node's own bound decides, which tells who stalls; pynetdicom's would be there as soon
        entity.network_timeout = listener.bounds.idle_s + _AFTER_THE_BOUND_S
        handlers: list[EventHandlerType] = [
            (evt.EVT_CONN_OPEN, send_without_delay),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_C_STORE, self._store),
            *self._services,
        ]
        self._writing = Writing()
        address = (listener.host, listener.port)
        rules = HouseRules(listener.bounds, listener.tls, self._dismissed, self._begin_store, self.flush)
        self._server = open_door(entity, address, handlers, rules)
        self._recorder.start()
        _LOGGER.info(
            "Listening as %s on %s:%d%s",
            listener.ae_title,
            *address,
            "" if listener.tls is None else " over TLS",
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
        finished &= self._recorder.stop(grace_s)
        _LOGGER.info(
            "Stopped listening%s",
            "" if finished else "; objects still being written were cut off, their senders will send them again",
            extra={"action": "scp_stopped"},
        )

    def flush(self) -> bool:
        """Wait until all that was answered with success is recorded; False when it cannot be recorded now."""
        return self._recorder.flush()

    def open_associations(self, study_instance_uid: str) -> int:
        """Associations that have stored an object of this study and are still open."""
        return self._attendance.serving(study_instance_uid)

    def _admit(self, event: Event) -> None:
        association = event.assoc
        refusal: Refusal | None = UNDECIDED
        try:
            refusal = self._attendance.enter(
                association, lambda others: self._admission(request_of(association, others))
            )
        finally:  # pynetdicom lets in whoever its handler broke off over
            if refusal is not None:
                self._reject(association, refusal)

    def _reject(self, association: Association, refusal: Refusal) -> None:
        association.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
        association.kill()
        who = request_of(association)
        _LOGGER.warning(
            "Rejected %r from %s, which called %r (this node is %r): %s; %s",
            who.calling_ae_title,
            who.address,
            who.called_ae_title,
            self._listener.ae_title,
            refusal.reason,
            refusal.remedy,
            extra={"action": "association_rejected"},
        )
        self._note(who, CallOutcome.REJECTED, refusal.reason, refusal.remedy)

    def _accepted(self, event: Event) -> None:
        refused = refused_contexts(event.assoc)
        proposed = len(refused) + len(event.assoc.accepted_contexts)
        told = f"; {len(refused)} of {proposed} presentation contexts refused" if refused else ""
        self._note(request_of(event.assoc), CallOutcome.ACCEPTED, f"let in{told}", "", refused)

    def _dismissed(self, dismissal: Dismissal) -> None:
        association = dismissal.association
        asked = association is not None and association.requestor.primitive is not None
        who = request_of(association) if association is not None and asked else _unknown(dismissal.address)
        _LOGGER.warning(
            "Sent %s away, %s (%r): %s; %s",
            dismissal.address,
            dismissal.outcome,
            who.calling_ae_title,
            dismissal.reason,
            dismissal.remedy,
            extra={"action": "caller_dismissed"},
        )
        self._note(who, dismissal.outcome, dismissal.reason, dismissal.remedy)

    def _note(
        self,
        who: AssociationRequest,
        outcome: CallOutcome,
        reason: str,
        remedy: str,
        refused: tuple[RefusedContext, ...] = (),
    ) -> None:
        now = self._clock()
        caller = (who.calling_ae_title, who.address, who.called_ae_title)
        self._on_call(Call(*caller, outcome, reason, remedy, first_at=now, last_at=now, refused=refused))

    def _store(self, event: Event) -> Dataset:
        """What pynetdicom itself has collected is no request that can be kept."""
        return answer_to(event, _without_data_set)

    def _begin_store(self, association: Association, command: StoreCommand, context_id: int) -> StoreReception | None:
        context = association._accepted_cx.get(context_id)
        if context is None or not {str(context.abstract_syntax), command.sop_class_uid} <= _STORED:
            return None  # who may only report on storage commitment has no context to store in
        syntax, sender = str(context.transfer_syntax[0]), association.requestor.ae_title.strip()
        request = StoreRequest(command, syntax, sender)
        return StoreReception(request, _Keeper(self, association), self._listener.bounds.object_bytes)

    def _begin(self, request: StoreRequest) -> PartFile:
        self._recorder.check()
        return self._receiver.begin(request)

    def _accept(self, association: Association, part: PartFile, request: StoreRequest) -> None:
        with self._writing.one_more():
            accepted = self._receiver.accept(part, request, now=self._clock())
            self._recorder.put(accepted, partial(self._recorded, association))

    def _recorded(self, association: Association, recorded: Recorded) -> None:
        self._attendance.stored(association, recorded.instance.study_instance_uid)
        self._on_received(association, self._caller(association), recorded)
        if recorded.receipt is Receipt.NEW:
            self._on_stored(recorded.instance)

    def _caller(self, association: Association) -> AssociationRequest:
        found = self._callers.get(association)
        if found is None:
            found = self._callers[association] = request_of(association)
        return found


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Takes the objects of one association."""

    scp: StorageScp
    association: Association

    def begin(self, request: StoreRequest) -> PartFile:
        return self.scp._begin(request)

    def finish(self, part: PartFile, request: StoreRequest) -> None:
        self.scp._accept(self.association, part, request)


def accepting_entity(ae_title: str) -> AE:
    """The application entity that listens, with every presentation context it accepts."""
    entity = application_entity(ae_title)
    entity.maximum_associations = _NO_LIMIT
    entity.add_supported_context(VERIFICATION, transfer_syntaxes.UNCOMPRESSED)
    # both roles: a peer asks as SCU, and reports on what this node has asked as SCP (PS3.7 D.3.3.4)
    entity.add_supported_context(STORAGE_COMMITMENT, transfer_syntaxes.UNCOMPRESSED, scu_role=True, scp_role=True)
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


def _unknown(address: str) -> AssociationRequest:
    """A caller that has not said who it is."""
    return AssociationRequest("", "", address, open_associations=0)


def storage_sop_classes() -> frozenset[str]:
    """The SOP classes whose objects are taken in, whichever way they come."""
    return _STORED


def _without_data_set(_event: Event) -> None:
    raise CannotUnderstand("no data set, or not for this presentation context")
