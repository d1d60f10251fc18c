"""The audit trail: each message goes into the file, and to the collector where there is one.

A trail that cannot be written never stops the node: what is lost is counted, told in the log at once, and told in the
trail itself as soon as it can be written again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from dicom_node.audit_file import AuditFile
from dicom_node.audit_forwarding import Forwarder
from dicom_node.audit_messages import Entity, recording_started
from dicom_node.audit_text import AuditSource, as_json, date_time
from dicom_node.domain.audit import AuditMessage
from dicom_node.domain.errors import StoreError

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Gap:
    """What could not be written."""

    count: int
    since: float


class AuditTrail:
    """Records messages. Safe for many threads."""

    def __init__(self, node: Entity, source: AuditSource, file: AuditFile, forwarder: Forwarder | None) -> None:
        self._node = node
        self._source = source
        self._file = file
        self._forwarder = forwarder
        self._writing = threading.Lock()
        self._gap: _Gap | None = None

    def record(self, *messages: AuditMessage) -> None:
        """Keep messages, durably, in this order."""
        if not messages:
            return
        with self._writing:
            self._write(messages)
        if self._forwarder is not None:
            try:
                self._forwarder.put(messages)
            except StoreError as error:
                _LOGGER.error(  # noqa: TRY400  # the message has the remedy
                    "%d audit messages are not forwarded: %s", len(messages), error, extra={"action": "audit_failed"}
                )

    def forward(self) -> None:
        """Send what waits for the collector."""
        if self._forwarder is None:
            return
        try:
            self._forwarder.forward()
        except StoreError as error:
            _LOGGER.error(  # noqa: TRY400  # the message has the remedy
                "The audit trail is not forwarded: %s", error, extra={"action": "audit_failed"}
            )

    def _write(self, messages: tuple[AuditMessage, ...]) -> None:
        gap = self._gap
        told = messages if gap is None else (self._end_of(gap, messages[0].at), *messages)
        try:
            self._file.append([as_json(message, self._source) for message in told])
        except OSError as error:
            count = len(messages) + (0 if gap is None else gap.count)
            self._gap = _Gap(count, messages[0].at if gap is None else gap.since)
            _LOGGER.error(  # noqa: TRY400  # the message is the reason
                "%d audit messages could not be written to %s: %s; make room, or let the node's user write there",
                count,
                self._file.path,
                error.strerror or error,
                extra={"action": "audit_failed"},
            )
        else:
            self._gap = None

    def _end_of(self, gap: _Gap, at: float) -> AuditMessage:
        told = f"{gap.count} messages from {date_time(gap.since)} on are missing: the file could not be written"
        return recording_started(self._node, self._file.path.as_uri(), told, at=at)
