"""What a person may ask for a study's analysis: that it goes on, or that it is made again."""

from __future__ import annotations

from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import JobState
from dicom_node.domain.status import Reply
from dicom_node.store.database import Row
from dicom_node.store.ledger import Ledger

_RETRIED = "to be tried again, by request"
_RERUN = "to be analysed again, by request"


class Requests(Ledger):
    """Requests for analyses. `study` is a UID or the beginning of one."""

    def retry(self, study: str, *, now: float) -> Reply:
        """A study that is held, or whose analysis failed, goes on with all its attempts.

        Raises StoreError when its analysis succeeded and its deliveries did not: `resend` is what helps then.
        """
        with self._database.change():
            uid = self._find(study)
            job = self._newest_job(uid)
            if job["state"] not in (JobState.HELD, JobState.FAILED):
                return Reply(uid, changed=False, told=f"the study is {job['state']}; nothing to do")
            is_analysed = bool(self._run("results_of_job", job_id=job["job_id"])[0]["number"])
            if is_analysed and not self._run("peers_to_make_anew_for", job_id=job["job_id"]):
                raise StoreError(f"study {uid} is analysed, only {job['reason']}; have it sent with dicom-node resend")
            self._run("begin_anew", job_id=job["job_id"])
            self._move(job, JobState.READY, _RETRIED, now)
            return Reply(uid, changed=True, told=_RETRIED)

    def rerun(self, study: str, *, now: float) -> Reply:
        """One more job on the images that there are; not while one is under way. Earlier ones stay as they are.

        Of a study that was fetched as a prior it is the first.
        """
        with self._database.change():
            uid = self._find(study)
            is_untouched_prior = self._row("newest_job", study_instance_uid=uid) is None and self._run(
                "prior_by_study", study_instance_uid=uid
            )
            job = None if is_untouched_prior else self._newest_job(uid)
            if job is not None and job["state"] in (JobState.RECEIVING, JobState.READY, JobState.RUNNING):
                return Reply(uid, changed=False, told=f"the study is {job['state']} already; nothing to do")
            [new] = self._run("open_job", study_instance_uid=uid, state=JobState.READY, reason=_RERUN, now=now)
            self._settled(new, now)
            self._event(uid, new["job_id"], JobState.READY, _RERUN, now)
            return Reply(uid, changed=True, told=_RERUN)

    def _newest_job(self, study_instance_uid: str) -> Row:
        job = self._row("newest_job", study_instance_uid=study_instance_uid)
        if job is None:
            raise StoreError(f"no image of study {study_instance_uid} was received; there is nothing to analyse")
        return job
