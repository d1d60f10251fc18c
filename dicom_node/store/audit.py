"""Records of the audit trail on their way to a syslog collector, as the database keeps them while it is away."""

from __future__ import annotations

from collections.abc import Sequence

from dicom_node.domain.audit import WaitingRecord
from dicom_node.store.database import Database


class AuditRecords:
    """The waiting records of one open database. Every method raises StoreError when the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, texts: Sequence[str]) -> None:
        """Put records behind those that wait; one transaction."""
        with self._database.change():
            for text in texts:
                self._database.run("add_audit_record", text=text)

    def waiting(self) -> int:
        """How many there are."""
        return int(self._database.run("audit_records_waiting")[0]["number"])

    def oldest(self, most: int) -> tuple[WaitingRecord, ...]:
        """The first of them, in order."""
        found = self._database.run("oldest_audit_records", most=most)
        return tuple(WaitingRecord(row["record_id"], row["text"]) for row in found)

    def arrived(self, record_id: int) -> None:
        """It and all before it wait no more."""
        with self._database.change():
            self._database.run("forget_audit_records", record_id=record_id)
