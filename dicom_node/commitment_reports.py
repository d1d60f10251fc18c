"""Reports on what this node has asked peers to commit to (N-EVENT-REPORT, PS3.4 J.3.3), wherever they come in.

A report is done with once: whoever repeats it, is late, or reports on what nobody asked for is answered with success,
since nothing is wrong with receiving it, and changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from pynetdicom import evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.events import Event, EventHandlerType

from dicom_node.admission import AssociationRequest
from dicom_node.commitment import by_report
from dicom_node.commitment_messages import (
    ALL_KEPT,
    FAILURES_EXIST,
    STORAGE_COMMITMENT,
    UNREADABLE,
    WELL_KNOWN_INSTANCE,
    MalformedMessage,
    report_of,
)
from dicom_node.domain.commitment import CommitmentReport, Fate, Unproven, Verdict
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.errors import StoreError
from dicom_node.negotiation import request_of
from dicom_node.peers import VERIFICATION

_LOGGER = logging.getLogger(__name__)

_FOR_REPORTERS = (VERIFICATION, STORAGE_COMMITMENT)
_SUCCESS = 0x0000
#: Statuses of N-EVENT-REPORT (PS3.7 10.1.1.1.8).
_PROCESSING_FAILURE = 0x0110
_NO_SUCH_INSTANCE = 0x0112
_NO_SUCH_EVENT_TYPE = 0x0113
_INVALID_ARGUMENT_VALUE = 0x0115


class AskedStore(Protocol):
    """Where it is recorded what was asked for."""

    def asked_for(self, transaction_uid: str) -> tuple[Unproven, ...]:
        """What waits for the report on this transaction."""

    def judged(self, verdicts: Sequence[Verdict], *, now: float) -> int:
        """Do what the verdicts say, once."""


class ReportDesk:
    """Takes reports from any thread. `destinations` are the peers that are asked, by name."""

    def __init__(
        self,
        store: AskedStore,
        destinations: Mapping[str, Destination],
        policy: RetryPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._destinations = destinations
        self._policy = policy
        self._clock = clock
        self._news = threading.Condition()
        self._closed = False

    @property
    def services(self) -> tuple[EventHandlerType, ...]:
        """What the listening entity is to bind."""
        return ((evt.EVT_N_EVENT_REPORT, self.answer),)

    def close(self) -> None:
        """Have nobody wait any more; reports are still taken."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def answer(self, event: Event) -> tuple[int, None]:
        """Bound to EVT_N_EVENT_REPORT, of associations in and out: record, then a true status."""
        caller = event.assoc.acceptor if event.assoc.is_requestor else event.assoc.requestor
        return self._status(event, caller.ae_title.strip()), None

    def wait_for(self, transaction_uid: str, timeout_s: float) -> bool:
        """Wait until the report is done with; False when it is not after `timeout_s`, or at `close`."""
        give_up_at = time.monotonic() + timeout_s
        with self._news:
            while self._store.asked_for(transaction_uid):
                remaining = give_up_at - time.monotonic()
                if remaining <= 0 or self._closed:
                    return False
                self._news.wait(remaining)
        return True

    def _status(self, event: Event, ae_title: str) -> int:
        request = cast(N_EVENT_REPORT, event.request)
        if request.AffectedSOPInstanceUID != WELL_KNOWN_INSTANCE:
            return _NO_SUCH_INSTANCE
        if event.event_type not in (ALL_KEPT, FAILURES_EXIST):
            return _NO_SUCH_EVENT_TYPE
        try:
            report = report_of(event.event_information)
        except (MalformedMessage, *UNREADABLE) as error:
            _LOGGER.warning(
                "A storage commitment report of %s cannot be read: %s",
                ae_title,
                error if isinstance(error, MalformedMessage) else type(error).__name__,
                extra={"action": "commitment_report_unreadable"},
            )
            return _INVALID_ARGUMENT_VALUE
        try:
            self._take(report, ae_title)
        except StoreError as error:
            _LOGGER.error(  # noqa: TRY400  # the error says it all
                "A storage commitment report of %s cannot be recorded: %s",
                ae_title,
                error,
                extra={"action": "commitment_report_lost"},
            )
            return _PROCESSING_FAILURE
        return _SUCCESS

    def _take(self, report: CommitmentReport, ae_title: str) -> None:
        awaited = self._store.asked_for(report.transaction_uid)
        destination = self._destinations.get(awaited[0].peer) if awaited else None
        if destination is None or destination.ae_title != ae_title:
            _LOGGER.info(
                "%s reported on storage commitment %s, which is not waited for (any more)",
                ae_title,
                report.transaction_uid,
                extra={"action": "commitment_report_unknown"},
            )
            return
        now = self._clock()
        verdicts = by_report(report, awaited, str(destination), self._policy, now)
        if self._store.judged(verdicts, now=now):
            tell_of(verdicts, str(destination))
        with self._news:
            self._news.notify_all()


def confined(may_send: Callable[[AssociationRequest], bool]) -> EventHandlerType:
    """A handler that leaves nothing but storage commitment to callers who may not send: they come in to report."""

    def confine(event: Event) -> None:
        acceptor = event.assoc.acceptor
        if not acceptor.writeable:  # it was rejected by who was asked before
            return
        everything = acceptor.supported_contexts
        # first of all, since pynetdicom goes on whatever becomes of this handler
        acceptor.supported_contexts = [each for each in everything if each.abstract_syntax in _FOR_REPORTERS]
        if may_send(request_of(event.assoc)):
            acceptor.supported_contexts = everything

    return (evt.EVT_REQUESTED, confine)


def tell_of(verdicts: Sequence[Verdict], peer: str) -> None:
    """What came of a request, for the log: a line for each kind of fate."""
    for fate, level, action, told in (
        (Fate.COMMITTED, logging.INFO, "committed", "are committed to by"),
        (Fate.ASK_AGAIN, logging.WARNING, "uncommitted", "are not committed to yet by"),
        (Fate.SEND_AGAIN, logging.WARNING, "commitment_failed", "are sent again to"),
        (Fate.DEAD, logging.ERROR, "delivery_dead", "are given up for"),
    ):
        those = [verdict for verdict in verdicts if verdict.fate is fate]
        if those:
            reason = f": {those[0].reason}" if those[0].reason else ""
            _LOGGER.log(level, "%d objects %s %s%s", len(those), told, peer, reason, extra={"action": action})
