"""One study in full, and what came of requests for it: for people, and as JSON for machines; computes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.table import Table

from dicom_node import tables
from dicom_node.domain.refusal import Substitution
from dicom_node.domain.research import ResearchStatus
from dicom_node.domain.status import DeliveryStatus, Reply, StudyHistory
from inference.evaluation.figures import Table as Content
from sr_writer.created import name_of_kind

_TIMES = ("opened_at", "settled_at", "finished_at", "asked_at", "made_at", "at")


def history_tables(history: StudyHistory) -> Iterator[Table]:
    """How the study stands, its jobs, its deliveries and its events."""
    yield tables.status_table([history.study])
    jobs = tuple(
        (
            str(job.job_id),
            job.state,
            job.outcome or "",
            str(job.attempt),
            job.urgency,
            tables.time_text(job.opened_at) or "",
            tables.time_text(job.finished_at) or "",
            job.reason,
        )
        for job in history.jobs
    )
    yield tables.plain_table(
        Content("jobs", ("job", "state", "outcome", "attempt", "urgency", "opened", "analysed", "reason"), jobs)
    )
    deliveries = tuple(
        (str(job.job_id), *_delivery_cells(delivery)) for job in history.jobs for delivery in job.deliveries
    )
    yield tables.plain_table(Content("deliveries", ("job", "object", "peer", "state", "attempt", "reason"), deliveries))
    if history.substitutions:
        yield _substitutions(history.substitutions)
    if history.research is not None:
        yield tables.plain_table(Content("research copies", ("what", "state", "number"), _research(history.research)))
    events = tuple(
        (
            tables.time_text(event.at) or "",
            "" if event.job_id is None else str(event.job_id),
            event.action,
            event.reason,
        )
        for event in history.events
    )
    yield tables.plain_table(Content("events", ("at", "job", "what", "why"), events))


def history_json(history: StudyHistory) -> str:
    """The same, and where the results are; times are ISO 8601, UTC."""
    record = {
        "study": tables.status_record(history.study),
        "jobs": [_with_times(asdict(job)) for job in history.jobs],
        "substitutions": [_with_times(asdict(each)) for each in history.substitutions],
        "research": None if history.research is None else asdict(history.research),
        "events": [_with_times(asdict(event)) for event in history.events],
    }
    return json.dumps(record, indent=2, default=str)


def reply_json(reply: Reply) -> str:
    """What came of a request."""
    return json.dumps(asdict(reply), indent=2)


def _substitutions(substitutions: Sequence[Substitution]) -> Table:
    rows = tuple(
        (
            str(each.job_id),
            each.peer,
            name_of_kind(each.sop_class_uid),
            each.in_its_place,
            tables.time_text(each.made_at) or "not yet",
        )
        for each in substitutions
    )
    return tables.plain_table(Content("made anew", ("job", "peer", "refuses", "in its place", "made"), rows))


def _delivery_cells(delivery: DeliveryStatus) -> tuple[str, ...]:
    name = f"{delivery.modality} {delivery.sop_instance_uid}"
    return name, delivery.peer, delivery.state_in_words, str(delivery.attempt), delivery.reason


def _research(status: ResearchStatus) -> tuple[tuple[str, ...], ...]:
    counted = (("copies", status.copies), ("deliveries", status.deliveries), ("why", status.reasons))
    return tuple((what, name, str(number)) for what, numbers in counted for name, number in numbers.items())


def _with_times(record: dict[str, object]) -> dict[str, object]:
    for key in _TIMES:
        seconds = record.get(key)
        if isinstance(seconds, float):
            record[key] = tables.time_text(seconds)
    return record
