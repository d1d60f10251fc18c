"""Storage commitment as SCP (PS3.4 Annex J): requests are recorded, then reported on, until the peer has the report.

A report goes out on the association of its request, if that serves nothing else and is open and quiet a moment later;
otherwise on a new one to the peer, where this node takes the role of SCP (PS3.7 D.3.3.4).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, cast

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.events import Event, EventHandlerType

from dicom_node.admission import AssociationRequest
from dicom_node.associations import open_association
from dicom_node.commitment import judge
from dicom_node.commitment_messages import (
    REQUEST_COMMITMENT,
    STORAGE_COMMITMENT,
    UNREADABLE,
    WELL_KNOWN_INSTANCE,
    MalformedMessage,
    event_type,
    report_dataset,
    request_of,
)
from dicom_node.commitment_scu import commitment_contexts
from dicom_node.domain.commitment import (
    CommitmentReport,
    CommitmentRequest,
    Holding,
    Promise,
    Reference,
    RequestRefusal,
)
from dicom_node.domain.delivery import Destination, RetryPolicy, retry_delay_s
from dicom_node.domain.errors import DeliveryError, ObjectRejected, PeerRefused, PeerUnreachable, StoreError
from dicom_node.negotiation import request_of as caller_of
from dicom_node.store_answers import response_with

_LOGGER = logging.getLogger(__name__)

_SUCCESS = 0x0000
#: Statuses of N-ACTION (PS3.7 10.1.4.1.10).
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_INVALID_ARGUMENT_VALUE = 0x0115
_NO_SUCH_ACTION = 0x0123
_NOT_AUTHORIZED = 0x0124
_RESOURCE_LIMITATION = 0x0213
#: Statuses of a peer's answer after which it may take the same report later.
_LATER = (_PROCESSING_FAILURE, _RESOURCE_LIMITATION)
#: How long a peer has to end the association of its request, if it wants the report on another one.
MOMENT_S = 1.0


class PromiseStore(Protocol):
    """Where requests wait for their reports."""

    def record(self, peer: str, request: CommitmentRequest, *, due_at: float) -> RequestRefusal | None:
        """Record a request durably, or say why not."""

    def due_to(self, peer: str, *, now: float) -> tuple[Promise, ...]:
        """What is to be reported to a peer now."""

    def holding(self, sop_instance_uid: str, *, calling_ae_title: str) -> Holding | None:
        """What was received under this UID."""

    def postpone(self, promise: Promise, *, due_at: float, now: float) -> None:
        """The report is tried again at `due_at`."""

    def close(self, promise: Promise, told: Sequence[tuple[Reference, str]], *, now: float) -> None:
        """The peer has its report, or never will."""

    def keep_only_of(self, peers: Collection[str]) -> tuple[str, ...]:
        """Drop the requests of others; whose they were."""


class CommitmentScp:
    """Takes requests from any thread, and reports on them. `destinations` are the peers that may ask, by name."""

    def __init__(
        self,
        store: PromiseStore,
        destinations: Mapping[str, Destination],
        name_of: Callable[[AssociationRequest], str | None],
        own_ae_title: str,
        policy: RetryPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._name_of = name_of
        self._own_ae_title = own_ae_title
        self._policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        #: Peer and transaction UID -> the association of the request, and when it came.
        self._asked_on: dict[tuple[str, str], tuple[Association, float]] = {}

    @property
    def services(self) -> tuple[EventHandlerType, ...]:
        """What the listening entity is to bind."""
        return ((evt.EVT_N_ACTION, self.answer), (evt.EVT_RELEASED, let_go), (evt.EVT_ABORTED, let_go))

    def answer(self, event: Event) -> tuple[Dataset, None]:
        """Bound to EVT_N_ACTION: success after the request is recorded."""
        request = cast(N_ACTION, event.request)
        if request.RequestedSOPInstanceUID != WELL_KNOWN_INSTANCE:
            return response_with(_NO_SUCH_INSTANCE, "ask the well-known instance"), None
        if request.ActionTypeID != REQUEST_COMMITMENT:
            return response_with(_NO_SUCH_ACTION, "Action Type ID is not 1"), None
        peer = self._name_of(caller_of(event.assoc))
        if peer is None:
            return response_with(_NOT_AUTHORIZED, "this peer may not send, hence not ask"), None
        return self._record(event, peer), None

    def drop_strangers(self) -> None:
        """Forget the requests of peers that may not ask any more."""
        for peer in self._store.keep_only_of(self._destinations):
            _LOGGER.warning(
                "A storage commitment request of %s is dropped: receive.from does not name it any more",
                peer,
                extra={"action": "commitment_report_dead"},
            )

    def report_to(self, peer: str) -> None:
        """Tell a peer what came of its requests that are due; one task at a time."""
        destination = self._destinations[peer]
        elsewhere = []
        for promise in self._store.due_to(peer, now=self._clock()):
            association = self._association_of(promise)
            if association is not None:
                self._send([promise], association, destination)
            else:
                elsewhere.append(promise)
        if not elsewhere:
            return
        try:
            role = build_role(STORAGE_COMMITMENT, scp_role=True)
            with open_association(destination, self._own_ae_title, commitment_contexts(), [role]) as association:
                self._send(elsewhere, association, destination)
        except DeliveryError as error:
            self._fail(elsewhere, error)

    def _record(self, event: Event, peer: str) -> Dataset:
        try:
            request = request_of(event.action_information)
        except MalformedMessage as error:
            return response_with(_INVALID_ARGUMENT_VALUE, str(error))
        except UNREADABLE as error:
            return response_with(_INVALID_ARGUMENT_VALUE, f"Action Information: {type(error).__name__}")
        try:
            refusal = self._store.record(peer, request, due_at=self._clock() + MOMENT_S)
        except StoreError as error:
            _LOGGER.error(  # noqa: TRY400  # the error says it all
                "A storage commitment request of %s cannot be recorded: %s",
                peer,
                error,
                extra={"action": "commitment_lost"},
            )
            return response_with(_PROCESSING_FAILURE, "it cannot be recorded")
        if refusal is not None:
            status = _INVALID_ARGUMENT_VALUE if refusal is RequestRefusal.IN_USE else _RESOURCE_LIMITATION
            return response_with(status, refusal)
        with self._lock:
            self._asked_on[peer, request.transaction_uid] = (event.assoc, self._clock())
        return response_with(_SUCCESS)

    def _association_of(self, promise: Promise) -> Association | None:
        """That of the request, for one try, if it is free, and no other request came on it just now."""
        with self._lock:
            association, asked_at = self._asked_on.pop((promise.peer, promise.request.transaction_uid), (None, 0.0))
            later = [at for other, at in self._asked_on.values() if other is association]
        is_quiet = self._clock() - max([asked_at, *later]) >= MOMENT_S
        return association if association is not None and is_quiet and _is_free(association) else None

    def _send(self, promises: Sequence[Promise], association: Association, destination: Destination) -> None:
        for index, promise in enumerate(promises):
            report = self._report(promise, destination.ae_title)
            try:
                self._tell(report, association, destination, message_id=index + 1)
            except ObjectRejected as error:
                self._give_up(promise, str(error))
            except PeerRefused as error:
                self._fail([promise], error)
            except PeerUnreachable as error:
                self._fail(promises[index:], error)
                return
            else:
                self._store.close(promise, _in_words(report, destination), now=self._clock())
                _LOGGER.info(
                    "Committed to %d objects for %s, and not to %d",
                    len(report.kept),
                    destination,
                    len(report.failed),
                    extra={"action": "commitment_reported"},
                )

    def _report(self, promise: Promise, ae_title: str) -> CommitmentReport:
        kept: list[Reference] = []
        failed: list[tuple[Reference, int]] = []
        for reference in promise.request.references:
            holding = self._store.holding(reference.sop_instance_uid, calling_ae_title=ae_title)
            reason = judge(reference, holding, is_on_disk=holding is not None and holding.path.is_file())
            if reason is None:
                kept.append(reference)
            else:
                failed.append((reference, reason))
        return CommitmentReport(promise.request.transaction_uid, tuple(kept), tuple(failed))

    def _tell(
        self, report: CommitmentReport, association: Association, destination: Destination, message_id: int
    ) -> None:
        """N-EVENT-REPORT. Raises PeerUnreachable, PeerRefused (again later) or ObjectRejected (final)."""
        try:
            answer, _ = association.send_n_event_report(
                report_dataset(report), event_type(report), STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, msg_id=message_id
            )
        except (RuntimeError, ValueError, OSError) as error:  # pynetdicom's way to say that it has ended
            raise PeerUnreachable(f"{destination} ended the association before the report: {error}") from error
        status = answer.get("Status")
        if status is None:
            raise PeerUnreachable(f"{destination} gave no answer to the storage commitment report (N-EVENT-REPORT)")
        told = f"{destination} answered the storage commitment report with status 0x{status:04X}"
        if status in _LATER:
            raise PeerRefused(told)
        if status != _SUCCESS:
            raise ObjectRejected(told)

    def _fail(self, promises: Sequence[Promise], error: DeliveryError) -> None:
        now = self._clock()
        for promise in promises:
            if self._policy.is_over(promise.failing_since, now):
                self._give_up(promise, self._policy.told(promise.failing_since, str(error), now))
                continue
            delay_s = retry_delay_s(promise.attempt, self._policy.jitter)
            self._store.postpone(promise, due_at=now + delay_s, now=now)
            _LOGGER.warning(
                "A storage commitment report for %s waits %.0f s: %s",
                promise.peer,
                delay_s,
                error,
                extra={"action": "commitment_report_postponed"},
            )

    def _give_up(self, promise: Promise, reason: str) -> None:
        told = f"{promise.peer} asked for commitment and could not be answered; {reason}"
        self._store.close(promise, [(each, told) for each in promise.request.references], now=self._clock())
        _LOGGER.error(
            "A storage commitment report is given up: %s",
            told,
            extra={"action": "commitment_report_dead"},
        )


def let_go(event: Event) -> None:
    """Bound to EVT_RELEASED and EVT_ABORTED of an association on which this node may send of its own accord.

    pynetdicom has who sends wait until the association's own thread pauses, for ever if that has just ended.
    """
    event.assoc._is_paused = True


def _is_free(association: Association) -> bool:
    """Whether a report may go out on it: with storage, a C-STORE might come where its answer is expected."""
    uses = {context.abstract_syntax for context in association.accepted_contexts}
    return bool(association.is_established) and uses == {STORAGE_COMMITMENT}


def _in_words(report: CommitmentReport, destination: Destination) -> list[tuple[Reference, str]]:
    kept = f"this node keeps them, {destination} asked"
    return [
        *((reference, kept) for reference in report.kept),
        *((reference, f"not promised to {destination}, reason 0x{reason:04X}") for reference, reason in report.failed),
    ]
