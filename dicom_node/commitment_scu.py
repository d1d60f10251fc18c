"""Storage commitment as SCU (PS3.4 Annex J), or proof by query: has one peer prove that it keeps what it was sent.

What is asked for stands in the store before it is asked, so that a report finds its deliveries whenever it comes; the
report itself is taken by commitment_reports.py.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.associations import check_status, open_association
from dicom_node.commitment import ask_again, by_query, deadline_s, without_report
from dicom_node.commitment_messages import (
    REQUEST_COMMITMENT,
    STORAGE_COMMITMENT,
    WELL_KNOWN_INSTANCE,
    request_dataset,
)
from dicom_node.commitment_reports import AskedStore, ReportDesk, tell_of
from dicom_node.domain.commitment import CommitmentRequest, Proof, Unproven, Verdict
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.errors import DeliveryError, PeerUnreachable
from dicom_node.peers import OnQuery, find, to_nobody
from dicom_node.transfer_syntaxes import UNCOMPRESSED

#: Objects of one request.
MOST_OBJECTS = 500
#: How long the association stays open for a report; one that comes later comes on an association of the peer's.
WAIT_S = 5.0
#: How long the answer to a report may take.
_ANSWER_S = 30.0


class ProofStore(AskedStore, Protocol):
    """Where it is recorded what is to be proved."""

    def await_from(self, peer: str, *, now: float) -> None:
        """Whatever this peer has is to be proved."""

    def due_from(self, peer: str, *, now: float, most: int) -> tuple[Unproven, ...]:
        """What the peer may be asked for now, or has not reported on in time."""

    def ask(
        self, deliveries: Sequence[Unproven], transaction_uid: str | None, *, due_at: float
    ) -> tuple[Unproven, ...]:
        """They are about to be asked for."""


@dataclass(frozen=True, slots=True)
class ProvingPeer:
    """A peer, and how it proves that it keeps what it was sent: not Proof.NONE."""

    destination: Destination
    proof: Proof


class Prover:
    """Asks one peer; `prove` is called again and again, by one thread at a time."""

    def __init__(
        self,
        store: ProofStore,
        peer: ProvingPeer,
        own_ae_title: str,
        desk: ReportDesk,
        policy: RetryPolicy,
        clock: Callable[[], float],
        on_query: OnQuery = to_nobody,
    ) -> None:
        self._store = store
        self._peer = peer
        self._own_ae_title = own_ae_title
        self._desk = desk
        self._policy = policy
        self._clock = clock
        self._on_query = on_query

    def prove(self) -> None:
        """Ask for what was sent and is due, after noting what was not reported on in time."""
        name, now = self._peer.destination.name, self._clock()
        self._store.await_from(name, now=now)
        due = self._store.due_from(name, now=now, most=MOST_OBJECTS)
        late = [each for each in due if each.transaction_uid is not None]
        self._follow(without_report(late, str(self._peer.destination), self._policy, now))
        fresh = [each for each in due if each.transaction_uid is None]
        if fresh:
            self._ask(fresh)

    def _ask(self, due: Sequence[Unproven]) -> None:
        transaction_uid = None if self._peer.proof is Proof.FIND else str(generate_uid(prefix=None))
        wait_s = deadline_s(1 + max(each.asked for each in due))
        asked = self._store.ask(due, transaction_uid, due_at=self._clock() + wait_s)
        try:
            if transaction_uid is None:
                self._query(asked)
            else:
                self._request(CommitmentRequest(transaction_uid, tuple(each.reference for each in asked)))
        except DeliveryError as error:
            now = self._clock()
            reason = f"cannot be asked whether it keeps the results: {error}"
            self._follow([ask_again(each, reason, self._policy, now) for each in asked])

    def _request(self, request: CommitmentRequest) -> None:
        """N-ACTION, and a wait for the report on the same association. Raises DeliveryError when it is not taken."""
        answering, destination = _Answering(self._desk), self._peer.destination
        with open_association(
            destination,
            self._own_ae_title,
            commitment_contexts(),
            services=[(evt.EVT_N_EVENT_REPORT, answering.answer), (evt.EVT_PDU_SENT, answering.sent)],
        ) as association:
            try:
                status, _ = association.send_n_action(
                    request_dataset(request), REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
                )
            except (RuntimeError, ValueError, OSError) as error:  # pynetdicom's way to say that it has ended
                raise PeerUnreachable(f"{destination} ended the association before the request: {error}") from error
            check_status(status, destination, "storage commitment request (N-ACTION)")
            self._desk.wait_for(request.transaction_uid, WAIT_S)
            answering.finish(_ANSWER_S)

    def _query(self, asked: Sequence[Unproven]) -> None:
        """One C-FIND at IMAGE level for each series. Raises DeliveryError; what was found before stays found."""
        series: dict[tuple[str, str], list[Unproven]] = defaultdict(list)
        for each in asked:
            series[each.study_instance_uid, each.series_instance_uid].append(each)
        for (study_instance_uid, series_instance_uid), those in series.items():
            query = Dataset()
            query.QueryRetrieveLevel = "IMAGE"
            query.StudyInstanceUID = study_instance_uid
            query.SeriesInstanceUID = series_instance_uid
            query.SOPInstanceUID = [each.reference.sop_instance_uid for each in those]
            matches = find(self._peer.destination, self._own_ae_title, query, self._on_query)
            found = {str(match.get("SOPInstanceUID", "")) for match in matches}
            self._follow(by_query(found, those, str(self._peer.destination), self._policy, self._clock()))

    def _follow(self, verdicts: Sequence[Verdict]) -> None:
        if verdicts and self._store.judged(verdicts, now=self._clock()):
            tell_of(verdicts, str(self._peer.destination))


class _Answering:
    """Reports on an association of this node's own, which may be released only after their answers have gone out."""

    def __init__(self, desk: ReportDesk) -> None:
        self._desk = desk
        self._changed = threading.Condition()
        self._unanswered = 0
        self._finished = False

    def answer(self, event: Event) -> tuple[int, None]:
        """Bound to EVT_N_EVENT_REPORT; a report that comes too late here is not answered, and comes again elsewhere."""
        with self._changed:
            if self._finished:
                event.assoc.abort()
                return 0x0000, None
            self._unanswered += 1
        return self._desk.answer(event)

    def sent(self, event: Event) -> None:
        """Bound to EVT_PDU_SENT; the request itself went out before any report came."""
        if isinstance(event.pdu, P_DATA_TF):
            with self._changed:
                self._unanswered = max(0, self._unanswered - 1)
                self._changed.notify_all()

    def finish(self, timeout_s: float) -> None:
        """Answer what has come, and nothing more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unanswered, timeout_s)
            self._finished = True


def commitment_contexts() -> list[PresentationContext]:
    """What is proposed to ask for storage commitment, and to report on it."""
    return [build_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))]
