"""Who called, as the database remembers it: one row for calls alike, a bounded number of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from dicom_node.domain.calls import Call, CallOutcome, RefusedContext
from dicom_node.store.database import Database, Row

#: Rows kept of each outcome.
MOST_KEPT = 250


class Calls:
    """The calls of one open database. Every method raises StoreError when the database refuses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_calls(self, calls: Sequence[Call]) -> None:
        """Add calls to those alike, and forget the oldest beyond MOST_KEPT of an outcome; one transaction."""
        with self._database.change():
            for call in calls:
                refused = json.dumps([asdict(context) for context in call.refused])
                self._database.run("record_call", **{**asdict(call), "refused": refused})
            self._database.run("forget_old_calls", most=MOST_KEPT)

    def latest(self, limit: int | None = None) -> tuple[Call, ...]:
        """The `limit` latest, or all, latest first."""
        return tuple(map(_call_of, self._database.run("calls", most=-1 if limit is None else limit)))


def _call_of(row: Row) -> Call:
    return Call(
        calling_ae_title=row["calling_ae_title"],
        address=row["address"],
        called_ae_title=row["called_ae_title"],
        outcome=CallOutcome(row["outcome"]),
        reason=row["reason"],
        remedy=row["remedy"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        count=row["count"],
        refused=tuple(
            RefusedContext(context["abstract_syntax"], tuple(context["transfer_syntaxes"]), context["result"])
            for context in json.loads(row["refused"])
        ),
    )
