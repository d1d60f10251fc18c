"""Rows to records and back: which column holds which field, and no decision."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dicom_node.domain.commitment import Reference, Unproven
from dicom_node.domain.delivery import Delivery, DeliveryState, EarlierReport, ResultObject
from dicom_node.domain.job import Job, JobState
from dicom_node.domain.refusal import Substitution
from dicom_node.domain.research import Original
from dicom_node.domain.status import FETCHED_AS_PRIOR, NOTHING_TO_ANALYSE, DeliveryStatus, Event, JobStatus, StudyStatus
from dicom_node.domain.study import ConflictingObject, Instance, InstanceKind, Sender, StudyActivity
from dicom_node.domain.urgency import Urgency
from dicom_node.store.database import Row, Value


def instance_columns(instance: Instance) -> dict[str, Value]:
    """The columns of an instance, without who sent it and when."""
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "kind": instance.kind,
        "path": str(instance.path),
        "size_bytes": instance.size_bytes,
        "digest": instance.digest,
        "urgency": instance.urgency,
    }


def instance_of(row: Row) -> Instance:
    """From `instances_of_study`."""
    return Instance(
        sop_instance_uid=row["sop_instance_uid"],
        sop_class_uid=row["sop_class_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        series_instance_uid=row["series_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        kind=InstanceKind(row["kind"]),
        path=Path(row["path"]),
        size_bytes=row["size_bytes"],
        digest=row["digest"],
        urgency=Urgency(row["urgency"]),
    )


def conflict_of(row: Row) -> ConflictingObject:
    """From `conflicts_of_study`."""
    return ConflictingObject(row["study_instance_uid"], row["sop_instance_uid"], row["digest"])


def activities_of(studies: Sequence[Row], senders: Sequence[Row]) -> tuple[StudyActivity, ...]:
    """From `studies_receiving`, and `senders_of_studies_receiving`."""
    by_study: dict[str, list[Sender]] = defaultdict(list)
    for row in senders:
        by_study[row["study_instance_uid"]].append(Sender(row["calling_ae_title"], row["instance_count"]))
    return tuple(
        StudyActivity(
            study_instance_uid=row["study_instance_uid"],
            image_count=row["image_count"],
            first_received_at=row["opened_at"],
            last_received_at=row["last_image_at"],
            senders=tuple(by_study[row["study_instance_uid"]]),
            urgency=Urgency(row["urgency"]),
        )
        for row in studies
    )


def job_of(row: Row) -> Job:
    """From a row of the table job that was settled."""
    return Job(
        job_id=row["job_id"],
        study_instance_uid=row["study_instance_uid"],
        state=JobState(row["state"]),
        attempt=row["attempt"],
        reason=row["reason"],
        settled_at=row["settled_at"],
    )


def original_of(row: Row) -> Original:
    """From `next_research_copy`, begun once more."""
    return Original(
        job_id=row["job_id"],
        study_instance_uid=row["study_instance_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        path=Path(row["path"]),
        attempt=row["attempt"] + 1,
        failing_since=row["failing_since"],
    )


def result_columns(result: ResultObject) -> dict[str, Value]:
    """The columns of a result, without its job."""
    return {
        "path": str(result.path),
        "modality": result.modality,
        "sop_class_uid": result.sop_class_uid,
        "sop_instance_uid": result.sop_instance_uid,
        "series_instance_uid": result.series_instance_uid,
    }


def earlier_report_of(row: Row) -> EarlierReport:
    """From `reports_of_study`."""
    return EarlierReport(
        job_id=row["job_id"],
        result=ResultObject(
            path=Path(row["path"]),
            modality=row["modality"],
            sop_class_uid=row["sop_class_uid"],
            sop_instance_uid=row["sop_instance_uid"],
            series_instance_uid=row["series_instance_uid"],
        ),
        peers=tuple(json.loads(row["peers"])),
        summary=row["summary"] or "{}",
    )


def delivery_of(row: Row) -> Delivery:
    """From `deliveries_due`."""
    return Delivery(
        delivery_id=row["delivery_id"],
        job_id=row["job_id"],
        peer=row["peer"],
        path=Path(row["path"]),
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        attempt=row["attempt"],
        failing_since=row["failing_since"],
    )


def unproven_of(row: Row) -> Unproven:
    """From `unproven_due` or `unproven_of_transaction`."""
    return Unproven(
        delivery_id=row["delivery_id"],
        peer=row["peer"],
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        reference=Reference(row["sop_class_uid"], row["sop_instance_uid"]),
        transaction_uid=row["transaction_uid"],
        asked=row["asked"],
        failing_since=row["failing_since"],
        missing_since=row["missing_since"],
    )


def delivery_status_of(row: Row) -> DeliveryStatus:
    """From `deliveries_of_jobs`."""
    return DeliveryStatus(
        peer=row["peer"],
        state=DeliveryState(row["state"]),
        attempt=row["attempt"],
        reason=row["reason"],
        modality=row["modality"],
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        path=Path(row["path"]),
        is_unproven=bool(row["is_unproven"]),
    )


def statuses_of(studies: Sequence[Row], deliveries: Sequence[Row]) -> tuple[StudyStatus, ...]:
    """From `studies`, and `deliveries_of_jobs` for their jobs."""
    by_job = _by_job(deliveries)
    return tuple(_status_of(row, tuple(by_job.get(row["job_id"], ()))) for row in studies)


def job_statuses_of(jobs: Sequence[Row], deliveries: Sequence[Row]) -> tuple[JobStatus, ...]:
    """From rows of the table job, and `deliveries_of_jobs` for them."""
    by_job = _by_job(deliveries)
    return tuple(
        JobStatus(
            job_id=row["job_id"],
            state=JobState(row["state"]),
            outcome=row["outcome"],
            reason=row["reason"],
            attempt=row["attempt"],
            urgency=Urgency(row["urgency"]),
            opened_at=row["opened_at"],
            settled_at=row["settled_at"],
            finished_at=row["finished_at"],
            deliveries=tuple(by_job.get(row["job_id"], ())),
        )
        for row in jobs
    )


def _by_job(deliveries: Sequence[Row]) -> dict[int, list[DeliveryStatus]]:
    by_job: dict[int, list[DeliveryStatus]] = defaultdict(list)
    for row in deliveries:
        by_job[row["job_id"]].append(delivery_status_of(row))
    return by_job


def _status_of(row: Row, deliveries: tuple[DeliveryStatus, ...]) -> StudyStatus:
    has_job = row["job_id"] is not None
    return StudyStatus(
        study_instance_uid=row["study_instance_uid"],
        state=JobState(row["state"]) if has_job else NOTHING_TO_ANALYSE,
        outcome=row["outcome"],
        reason=row["reason"] if has_job else FETCHED_AS_PRIOR if row["is_prior"] else "nothing that came is an image",
        attempt=row["attempt"] if has_job else 0,
        urgency=Urgency(row["urgency"]) if has_job else None,
        instance_count=row["instance_count"],
        image_count=row["image_count"],
        received_at=row["received_at"],
        last_image_at=row["last_image_at"],
        settled_at=row["settled_at"],
        finished_at=row["finished_at"],
        summary=row["summary"],
        deliveries=deliveries,
    )


def substitution_of(row: Row) -> Substitution:
    """From `substitutions_of_study`."""
    return Substitution(
        job_id=row["job_id"],
        peer=row["peer"],
        sop_class_uid=row["sop_class_uid"],
        in_its_place=row["in_its_place"],
        asked_at=row["asked_at"],
        made_at=row["made_at"],
    )


def event_of(row: Row) -> Event:
    """From `events_of_study`."""
    return Event(row["at"], row["study_instance_uid"], row["job_id"], row["action"], row["reason"])
