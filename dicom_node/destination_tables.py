"""How each destination stands: for people, and as JSON for machines; computes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from dicom_node import tables
from dicom_node.domain.status import DestinationStatus
from inference.evaluation.figures import Table as Content
from sr_writer.created import name_of_kind

_HEADER = ("destination", "waiting", "unreachable since", "last reason", "next try", "refuses")


def destinations_table(destinations: Sequence[DestinationStatus]) -> Table:
    """One row a destination."""
    rows = tuple(
        (
            each.peer,
            str(each.waiting),
            tables.time_text(each.unreachable_since) or "",
            each.reason,
            tables.time_text(each.next_try_at) or "",
            ", ".join(map(name_of_kind, each.refused)),
        )
        for each in destinations
    )
    return tables.plain_table(Content("destinations", _HEADER, rows))


def destinations_json(destinations: Sequence[DestinationStatus]) -> str:
    """The same; times are ISO 8601, UTC."""
    records = [
        asdict(each)
        | {
            "unreachable_since": tables.time_text(each.unreachable_since),
            "next_try_at": tables.time_text(each.next_try_at),
        }
        for each in destinations
    ]
    return json.dumps(records, indent=2)
