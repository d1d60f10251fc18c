"""Audit messages on their way to a syslog collector: kept in the database until they have arrived, in order, bounded.

Whoever puts one does not wait for the collector; `forward` is a task of its own. Where there is no more room new
messages are not forwarded, and both ends of the gap are told to the collector itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dicom_node.audit_messages import Entity, recording_started, recording_stopped
from dicom_node.audit_text import AuditSource, as_xml
from dicom_node.domain.audit import AuditMessage, Collector, Outcome, WaitingRecord
from dicom_node.domain.delivery import doubled_s
from dicom_node.syslog import NOTICE, WARNING, CollectorError, send_records, syslog_record

_LOGGER = logging.getLogger(__name__)

#: Records in one connection, and connections in one run.
_BATCH = 200
_BATCHES = 50
_FIRST_DELAY_S = 5.0
_LONGEST_DELAY_S = 300.0


class WaitingRecords(Protocol):
    """Where records wait, durably; the store."""

    def add(self, texts: Sequence[str]) -> None:
        """Put them last; raises StoreError."""

    def waiting(self) -> int:
        """How many there are."""

    def oldest(self, most: int) -> tuple[WaitingRecord, ...]:
        """The first of them."""

    def arrived(self, record_id: int) -> None:
        """It and all before it wait no more."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who the records say they are from."""

    node: Entity
    source: AuditSource
    host: str
    process: int


class Forwarder:
    """Forwards to one collector. Safe for many threads; any number of processes may put into the same store."""

    def __init__(
        self,
        records: WaitingRecords,
        collector: Collector,
        reporter: Reporter,
        most: int,
        send: Callable[[Sequence[str], Collector], None] = send_records,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._collector = collector
        self._reporter = reporter
        self._most = most
        self._send = send
        self._monotonic = monotonic
        self._putting = threading.Lock()
        self._lost = 0
        self._failures = 0
        self._next_try_at = float("-inf")

    def put(self, messages: Sequence[AuditMessage]) -> None:
        """Have messages forwarded, as far as there is room. Raises StoreError when the database refuses."""
        with self._putting:
            room = self._most - self._records.waiting()
            if self._lost and room > len(messages):
                self._records.add([self._text(self._gap_ends(messages[0].at)), *map(self._text, messages)])
                self._lost = 0
            elif not self._lost and room >= len(messages):
                self._records.add([self._text(message) for message in messages])
            else:
                if not self._lost:  # once; one record beyond the bound
                    self._records.add([self._text(self._gap_begins(messages[0].at))])
                self._lost += len(messages)

    def forward(self) -> int:
        """Send what waits; how many records arrived. Nothing is tried before a pause after a failure is over."""
        if self._monotonic() < self._next_try_at:
            return 0
        arrived = 0
        for _ in range(_BATCHES):
            batch = self._records.oldest(_BATCH)
            if not batch:
                break
            try:
                self._send([record.text for record in batch], self._collector)
            except CollectorError as error:
                self._put_off(error)
                break
            self._records.arrived(batch[-1].record_id)
            self._recovered()
            arrived += len(batch)
        return arrived

    def _put_off(self, error: CollectorError) -> None:
        delay_s = doubled_s(self._failures + 1, _FIRST_DELAY_S, _LONGEST_DELAY_S)
        self._next_try_at = self._monotonic() + delay_s
        if not self._failures:
            _LOGGER.warning(
                "The audit trail waits for its collector: %s", error, extra={"action": "audit_collector_away"}
            )
        self._failures += 1

    def _recovered(self) -> None:
        if self._failures:
            _LOGGER.info("The collector takes the audit trail again", extra={"action": "audit_collector_back"})
        self._failures = 0

    def _gap_begins(self, at: float) -> AuditMessage:
        _LOGGER.error(
            "%d audit messages wait for %s, and there is room for no more: new ones are not forwarded",
            self._most,
            self._collector,
            extra={"action": "audit_forwarding_full"},
        )
        told = f"{self._most} messages wait for the collector; later ones are in the file of the node only"
        return recording_stopped(self._reporter.node, self._uri, told, at=at)

    def _gap_ends(self, at: float) -> AuditMessage:
        told = f"{self._lost} messages or more were not forwarded; they are in the file of the node"
        return recording_started(self._reporter.node, self._uri, told, at=at)

    @property
    def _uri(self) -> str:
        return f"syslog://{self._collector.host}:{self._collector.port}"

    def _text(self, message: AuditMessage) -> str:
        who = self._reporter
        severity = NOTICE if message.outcome is Outcome.SUCCESS else WARNING
        xml = as_xml(message, who.source)
        return syslog_record(xml, host=who.host, process=who.process, at=message.at, severity=severity)
