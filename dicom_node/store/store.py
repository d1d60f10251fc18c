"""What the node remembers, and every step it may take: here of instances and jobs, by bases of the rest.

A study's deliveries are in deliveries.py, what peers refuse of them in substitutions.py, their proofs in proofs.py,
research copies in research.py, which peers can be reached in reachability.py, what a person may ask for in requests.py,
the removal of a study in removal.py, what is pulled in pulls.py, what is told of it in overview.py, what is still
arriving in arriving.py, what the node is to promise in promises.py, how times follow the clock in clock.py; they share
ledger.py. All run SQL by name only.

A step and its event are one transaction, on disk when the method returns. A Store may be shared by threads, and a file
by processes that open a Store each; database.py says how. An image that comes in order is no event: its row says
from whom and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from dicom_node.domain.delivery import DeliveryState, EarlierReport, Outgoing
from dicom_node.domain.errors import StoreError
from dicom_node.domain.fairness import most_large
from dicom_node.domain.job import MAXIMUM_ATTEMPTS, Job, JobState
from dicom_node.domain.research import CopyWish
from dicom_node.domain.study import Instance, InstanceKind, StudyActivity
from dicom_node.domain.urgency import MOST_OVERTAKEN
from dicom_node.store import rows
from dicom_node.store.arriving import Arriving
from dicom_node.store.audit import AuditRecords
from dicom_node.store.calls import Calls
from dicom_node.store.clock import Clock
from dicom_node.store.database import Database, Row
from dicom_node.store.ledger import check_job_step
from dicom_node.store.overview import Overview
from dicom_node.store.promises import Promises
from dicom_node.store.proofs import Proofs
from dicom_node.store.pulls import Pulls
from dicom_node.store.reachability import Reachability
from dicom_node.store.removal import Removal
from dicom_node.store.requests import Requests
from dicom_node.store.statements import all_queries, named_queries, sql_text
from dicom_node.store.substitutions import Substitutions

_QUERIES = named_queries(all_queries())
#: SQL files that bring a database from version n to n + 1, in order.
MIGRATIONS = (
    "schema.sql",
    "0002_deliveries.sql",
    "0003_calls.sql",
    "0004_urgency.sql",
    "0005_commitment.sql",
    "0006_priors.sql",
    "0007_refused_classes.sql",
    "0008_audit.sql",
    "0009_research.sql",
    "0010_many_studies.sql",
    "0011_study_sizes.sql",
)


class Receipt(StrEnum):
    """What a received instance is to what was received before."""

    NEW = "new"
    #: The same bytes came again.
    DUPLICATE = "duplicate"
    #: Other bytes under the same SOP Instance UID; the first ones stay.
    CONFLICT = "conflict"


class Store(Substitutions, Reachability, Requests, Removal, Pulls, Overview, Arriving, Clock):
    """One open database. Every method raises StoreError when the database refuses.

    `workers` is how many processes claim jobs of this database.
    """

    def __init__(self, database: Database, workers: int = 1) -> None:
        super().__init__(database)
        self._most_large = most_large(workers)
        self.calls = Calls(database)
        self.proofs = Proofs(database)
        self.promises = Promises(database)
        self.audit_records = AuditRecords(database)

    @classmethod
    def open(cls, path: Path, workers: int = 1) -> Store:
        """Open the database at `path`, made and brought up to date as needed; its folder must exist."""
        return cls(Database.open(path, _QUERIES, tuple(map(sql_text, MIGRATIONS))), workers)

    def close(self) -> None:
        """Close the database; everything is on disk already."""
        self._database.close()

    def check(self) -> None:
        """Raises DamagedDatabase when the file is not a sound database; it reads the whole file."""
        self._database.check()

    def digest(self, sop_instance_uid: str) -> str | None:
        """The digest of a received instance; None when there is none."""
        found = self._row("instance_by_uid", sop_instance_uid=sop_instance_uid)
        return None if found is None else str(found["digest"])

    def record_instance(self, instance: Instance, *, calling_ae: str, now: float) -> Receipt:
        """As `record_instances`, of one."""
        [receipt] = self.record_instances([(instance, calling_ae, now)])
        return receipt

    def record_instances(self, received: Sequence[tuple[Instance, str, float]]) -> list[Receipt]:
        """Record what was received, from whom, and when; a new image opens its study's job, or opens it again.

        Other objects are recorded and change no job. Of two objects with one SOP Instance UID the first stays.
        """
        with self._database.change():
            return [self._record(*each) for each in received]

    def receiving(self) -> tuple[StudyActivity, ...]:
        """The studies that are not settled, the most urgent first.

        Their times are those of images only, since the job was opened; their senders are those of any image.
        """
        with self._database.snapshot():
            return rows.activities_of(self._run("studies_receiving"), self._run("senders_of_studies_receiving"))

    def has_own_objects(self, study_instance_uid: str) -> bool:
        """Whether there are objects of a study that this node made, here or at a peer."""
        return bool(self._run("own_objects", study_instance_uid=study_instance_uid))

    def settle(self, study_instance_uid: str, *, reason: str, now: float) -> None:
        """The study is complete, as far as anyone can tell, for `reason`: its job waits for a worker."""
        with self._database.change():
            job = self._row("newest_job", study_instance_uid=study_instance_uid)
            if job is None or job["state"] != JobState.RECEIVING:
                found = "has no job" if job is None else f"is {job['state']}"
                raise StoreError(f"study {study_instance_uid} {found}; only a study being received can be settled")
            self._move(job, JobState.READY, reason, now)
            self._settled(job, now)

    def note_waiting(self, study_instance_uid: str, *, reason: str) -> None:
        """Have a study that is being received say what it waits for; no step, so no event."""
        self._run("note_waiting", study_instance_uid=study_instance_uid, reason=reason)

    def is_claimable(self) -> bool:
        """Whether a settled study waits for a worker, and may be claimed now."""
        return self._row("next_job", most_overtaken=MOST_OVERTAKEN, most_large=self._most_large) is not None

    def claim(self, worker: str, *, now: float, lease_s: float) -> Job | None:
        """The job whose turn it is, for `lease_s` seconds this worker's; None when none waits.

        The most urgent comes first, of several the one that waits longest. Whoever waits longest of all is overtaken
        MOST_OVERTAKEN times and not more, so that nobody waits for ever. Large ones leave a worker to the others
        (domain/fairness.py).
        Jobs of workers that were not heard of in time are freed first, or have failed when that was their last try.
        No two workers may have one name.
        """
        with self._database.change():
            for lost in self._run("jobs_without_lease", now=now):
                self._try_again(lost, f"worker {lost['worker']} was not heard of in time", now)
            waiting = self._row("next_job", most_overtaken=MOST_OVERTAKEN, most_large=self._most_large)
            if waiting is None:
                return None
            check_job_step(waiting, JobState.RUNNING)
            job_id = waiting["job_id"]
            # before it is leased: those that could have been claimed in its place
            turn = {"job_id": job_id, "settled_at": waiting["settled_at"]}
            self._run("note_overtaken", **turn, most_large=self._most_large)
            [job] = self._run("lease_job", job_id=job_id, worker=worker, lease_until=now + lease_s)
            self._run("claim_substitutions", job_id=job_id, worker=worker)
            self._event(job["study_instance_uid"], job_id, JobState.RUNNING, f"claimed by worker {worker}", now)
            return rows.job_of(job)

    def heartbeat(self, job_id: int, worker: str, *, now: float, lease_s: float) -> bool:
        """Prolong the lease; False when it is not this worker's any more, so that its work is in vain."""
        with self._database.change():
            return bool(self._run("extend_lease", job_id=job_id, worker=worker, lease_until=now + lease_s))

    def instances(self, study_instance_uid: str) -> tuple[Instance, ...]:
        """Everything received for a study, of every kind, in the order of arrival."""
        found = self._run("instances_of_study", study_instance_uid=study_instance_uid)
        return tuple(map(rows.instance_of, found))

    def finish(
        self,
        job_id: int,
        worker: str,
        *,
        outcome: str,
        summary: str,
        results: Sequence[Outgoing],
        now: float,
        copies: CopyWish | None = None,
    ) -> bool:
        """The analysis is made: record its outcome, its `summary` (JSON text) and its results, in sending order.

        Each result is to be delivered to its peers; of a job that is made anew, to those it is made anew for, and only
        what was not on its way to them before. `copies` for research are to be made later. False, and nothing is
        written, when the lease is not this worker's any more.
        """
        with self._database.change():
            job = self._leased(job_id, worker)
            if job is None:
                return False
            self._run("note_outcome", job_id=job_id, outcome=outcome, summary=summary)
            self._run("note_finished", job_id=job_id, now=now)
            only = self.made_anew_for(job_id, worker)
            for each in results:
                known = self._known(job_id, each) if only else None
                [row] = [known] if known else self._run("add_result", job_id=job_id, **rows.result_columns(each.result))
                for peer in (peer for peer in each.peers if not only or peer in only):
                    self._run("add_delivery", job_id=job_id, result_id=row["result_id"], peer=peer, now=now)
            self._run("note_substitutions", job_id=job_id, worker=worker, now=now)
            if copies is not None:
                self._want_copies(job, copies, now)
            self._to_be_delivered(job, results, now)
            return True

    def earlier_reports(self, study_instance_uid: str, *, before_job: int) -> tuple[EarlierReport, ...]:
        """The reports of the study's jobs before this one, the newest first."""
        found = self._run("reports_of_study", study_instance_uid=study_instance_uid, before_job=before_job)
        return tuple(map(rows.earlier_report_of, found))

    def give_up(self, job_id: int, worker: str, *, reason: str, now: float) -> JobState:
        """The analysis broke off: READY to be tried again, or FAILED after the last try.

        When the lease is not this worker's any more nothing is written; the state is what others made of the job.
        """
        with self._database.change():
            job = self._leased(job_id, worker)
            return JobState(self._job(job_id)["state"]) if job is None else self._try_again(job, reason, now)

    def hold(self, job_id: int, worker: str, *, reason: str, now: float) -> bool:
        """The job waits for a person. False, and nothing is written, when the lease is not this worker's any more."""
        with self._database.change():
            job = self._leased(job_id, worker)
            if job is None:
                return False
            self._move(job, JobState.HELD, reason, now)
            self._run("note_finished", job_id=job_id, now=now)
            return True

    def _record(self, instance: Instance, calling_ae: str, now: float) -> Receipt:
        first = self._row("instance_by_uid", sop_instance_uid=instance.sop_instance_uid)
        if first is None:
            self._run("add_instance", **rows.instance_columns(instance), calling_ae_title=calling_ae, now=now)
            if instance.kind is InstanceKind.IMAGE:
                self._image_arrived(instance, now)
            return Receipt.NEW
        if first["digest"] == instance.digest:
            reason = f"{instance.sop_instance_uid} came again from {calling_ae}"
            self._duplicate_once(instance.study_instance_uid, reason, now)
            return Receipt.DUPLICATE
        columns = rows.instance_columns(instance)
        if self._run("add_conflict", **columns, calling_ae_title=calling_ae, now=now):
            reason = f"{instance.sop_instance_uid} came from {calling_ae} with other content; the first stays"
            for study in sorted({first["study_instance_uid"], instance.study_instance_uid}):
                self._event(study, None, Receipt.CONFLICT, reason, now)
        return Receipt.CONFLICT

    def _known(self, job_id: int, outgoing: Outgoing) -> Row | None:
        return self._row("result_of_job", job_id=job_id, sop_instance_uid=outgoing.result.sop_instance_uid)

    def _to_be_delivered(self, job: Row, results: Sequence[Outgoing], now: float) -> None:
        left = [row["peer"] for row in self._run("peers_to_make_anew_for", job_id=job["job_id"])]
        if left:  # asked for after the worker took the job
            self._make_anew(job, ", ".join(left), now)
            return
        fates = self._fates(job["job_id"])
        waiting = dict.fromkeys(fate["peer"] for fate in fates if fate["state"] == DeliveryState.PENDING)
        if waiting:
            self._move(job, JobState.DELIVERING, f"{len(results)} results on their way to {', '.join(waiting)}", now)
        elif fates:
            self._conclude(job, fates, now)
        else:
            self._move(job, JobState.DONE, "nobody to send results to" if results else "no results to send", now)

    def _image_arrived(self, instance: Instance, now: float) -> None:
        study_instance_uid = instance.study_instance_uid
        job = self._row("newest_job", study_instance_uid=study_instance_uid)
        if job is None and self._is_coming_as_prior(study_instance_uid, now):
            return
        state = None if job is None else JobState(job["state"])
        is_left = job is not None and state is JobState.READY and self._leave_to_a_later_job(job, now)
        if job is None or is_left or state not in (JobState.RECEIVING, JobState.READY):
            reason = "first image" if job is None else f"late image, when job {job['job_id']} was {state}"
            [job] = self._run(
                "open_job", study_instance_uid=study_instance_uid, state=JobState.RECEIVING, reason=reason, now=now
            )
            self._event(study_instance_uid, job["job_id"], JobState.RECEIVING, reason, now)
        elif state is JobState.READY:
            self._move(job, JobState.RECEIVING, "late image, before a worker came", now)
            self._run("note_settled", job_id=job["job_id"], settled_at=None, is_large=False)
        self._run("note_image", job_id=job["job_id"], urgency=instance.urgency, now=now)

    def _try_again(self, job: Row, reason: str, now: float) -> JobState:
        if job["attempt"] < MAXIMUM_ATTEMPTS:
            return self._move(job, JobState.READY, reason, now)
        self._run("note_finished", job_id=job["job_id"], now=now)
        return self._move(job, JobState.FAILED, f"gave up after attempt {job['attempt']}: {reason}", now)

    def _leased(self, job_id: int, worker: str) -> Row | None:
        job = self._job(job_id)
        return job if job["state"] == JobState.RUNNING and job["worker"] == worker else None
