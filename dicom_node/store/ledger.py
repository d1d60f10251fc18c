"""What every part of the store stands on: a step that its table of transitions allows, and its event, always together.

Each method is a part of the transaction of whoever calls it, unless it says that it is one.
"""

from __future__ import annotations

from dicom_node.domain import delivery as deliveries
from dicom_node.domain import job as jobs
from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.errors import StoreError
from dicom_node.domain.fairness import is_large
from dicom_node.domain.job import JobState
from dicom_node.store.database import Database, Row


class Ledger:
    """An open database, its steps and its events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    def _find(self, study: str) -> str:
        """The UID of the study that a UID or the beginning of one means. Raises StoreError unless that is one study."""
        if self._row("study_exists", study_instance_uid=study) is not None:
            return study
        found = [row["study_instance_uid"] for row in self._run("studies_beginning", beginning=study)] if study else []
        if not found:
            raise StoreError(f"nothing was received of a study {study!r}; dicom-node status lists what was")
        if len(found) > 1:
            raise StoreError(f"several studies begin with {study!r}: {', '.join(found[:2])} ...; write more of the UID")
        return str(found[0])

    def _move(self, job: Row, state: JobState, reason: str, now: float) -> JobState:
        """The step, if the table of transitions allows it, and its event."""
        check_job_step(job, state)
        self._run("move_job", job_id=job["job_id"], state=state, reason=reason)
        self._event(job["study_instance_uid"], job["job_id"], state, reason, now)
        return state

    def _settled(self, job: Row, now: float) -> None:
        """Note that the study of the job is complete as it is, and its size."""
        [size] = self._run("size_of_study", study_instance_uid=job["study_instance_uid"])
        large = is_large(size["images"], size["size_bytes"])
        self._run("note_settled", job_id=job["job_id"], settled_at=now, is_large=large)

    def _delivery_event(self, delivery: Row, action: str, reason: str, now: float) -> None:
        told = f"{delivery['modality']} to {delivery['peer']}: {reason}"
        self._event(delivery["study_instance_uid"], delivery["job_id"], action, told, now)

    def _event(self, study_instance_uid: str, job_id: int | None, action: str, reason: str, now: float) -> None:
        self._run(
            "add_event", study_instance_uid=study_instance_uid, job_id=job_id, action=action, reason=reason, now=now
        )

    def _duplicate_once(self, study_instance_uid: str, reason: str, now: float) -> None:
        """Others may send again as often as they like: a PACS that sends all of it every night fills no disk."""
        self._run("add_duplicate_once", study_instance_uid=study_instance_uid, reason=reason, now=now)

    def _job(self, job_id: int) -> Row:
        job = self._row("job_by_id", job_id=job_id)
        if job is None:
            raise StoreError(f"there is no job {job_id}; claim jobs from this database")
        return job

    def _row(self, query: str, **values: str | int | float) -> Row | None:
        found = self._run(query, **values)
        return found[0] if found else None


def check_job_step(job: Row, state: JobState) -> None:
    """Raises StoreError for a step that a job may not take."""
    if not jobs.may_follow(JobState(job["state"]), state):
        raise StoreError(f"job {job['job_id']} is {job['state']} and cannot become {state}; see domain/job.py")


def check_delivery_step(delivery: Row, state: DeliveryState) -> None:
    """Raises StoreError for a step that a delivery may not take."""
    if not deliveries.may_follow(DeliveryState(delivery["state"]), state):
        raise StoreError(
            f"delivery {delivery['delivery_id']} is {delivery['state']} already and cannot become {state}; "
            "see domain/delivery.py"
        )
