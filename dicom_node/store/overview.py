"""What the store tells people: how studies stand, and what happened to them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dicom_node.domain.errors import StoreError
from dicom_node.domain.status import Event, StudyHistory, StudyStatus
from dicom_node.store import rows
from dicom_node.store.research import Research


class Overview(Research):
    """Studies as they stand; nothing is changed here."""

    def studies(self, limit: int | None = None) -> tuple[StudyStatus, ...]:
        """How every study stands, the newest `limit` or all, newest first."""
        with self._database.snapshot():
            newest = self._run("newest_studies", most=-1 if limit is None else limit)
            return self._statuses([row["study_instance_uid"] for row in newest])

    def history(self, study: str) -> StudyHistory:
        """One study in full, named by its UID or the beginning of it. Raises StoreError when there is no such study."""
        with self._database.snapshot():
            uid = self._find(study)
            statuses = self._statuses([uid])
            if not statuses:
                raise StoreError(
                    f"all that came of study {uid} contradicts other studies; it is kept in conflicts/{uid}"
                )
            jobs = self._run("jobs_of_study", study_instance_uid=uid)
            deliveries = self._run("deliveries_of_jobs", job_ids=json.dumps([row["job_id"] for row in jobs]))
            anew = tuple(map(rows.substitution_of, self._run("substitutions_of_study", study_instance_uid=uid)))
            told = rows.job_statuses_of(jobs, deliveries)
            return StudyHistory(statuses[0], told, self.events(uid), anew, self.research_of(uid))

    def events(self, study_instance_uid: str) -> tuple[Event, ...]:
        """What happened to a study, in order."""
        return tuple(map(rows.event_of, self._run("events_of_study", study_instance_uid=study_instance_uid)))

    def _statuses(self, studies: Sequence[str]) -> tuple[StudyStatus, ...]:
        found = self._run("studies", studies=json.dumps(studies))
        job_ids = json.dumps([row["job_id"] for row in found])
        return rows.statuses_of(found, self._run("deliveries_of_jobs", job_ids=job_ids))
