"""What `dicom-node pull` shows: studies of a peer, and what became of them; nothing that names a patient."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table

from dicom_node import tables
from dicom_node.domain.retrieval import Pulled
from inference.evaluation.figures import Table as Content


def pulled_table(pulled: Sequence[Pulled], peer: str) -> Table:
    """One row a study."""
    header = ("study", "date", "modalities", "at the peer", "here before", "arrived", "missing", "reason")
    rows = tuple(
        (
            each.study.study_instance_uid,
            each.study.study_date,
            " ".join(each.study.modalities),
            *map(str, (each.wanted, each.here, each.arrived, each.missing)),
            each.problem,
        )
        for each in pulled
    )
    return tables.plain_table(Content(f"studies of {peer}", header, rows))


def pulled_json(pulled: Sequence[Pulled]) -> str:
    """One record a study."""
    records = [
        {
            "study_instance_uid": each.study.study_instance_uid,
            "study_date": each.study.study_date,
            "modalities": list(each.study.modalities),
            "wanted": each.wanted,
            "here_before": each.here,
            "arrived": each.arrived,
            "missing": each.missing,
            "problem": each.problem,
        }
        for each in pulled
    ]
    return json.dumps(records, indent=2)
