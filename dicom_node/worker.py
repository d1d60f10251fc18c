"""The worker: claims settled studies one by one, analyses them, keeps the results, records what came of it.

It runs in a process of its own. A study whose analysis breaks, or takes the process with it, is tried again and in
the end failed, visibly; the studies after it go on.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from apscheduler.schedulers.background import BackgroundScheduler
from pydicom import Dataset

from dicom_node.domain.delivery import EarlierReport, Outgoing, ResultObject
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import LEASE_S, Job
from dicom_node.domain.research import SpareTime
from dicom_node.domain.study import InstanceKind
from dicom_node.faults import call_path, type_and_place
from dicom_node.pipeline import AnalysedStudy
from dicom_node.store import Store
from dicom_node.summary import summarise

_LOGGER = logging.getLogger(__name__)

_Done = TypeVar("_Done")
#: study_instance_uid, files, start of the analysis, earlier reports -> what is known of the study.
Analyse = Callable[[str, Sequence[Path], datetime.datetime, Sequence[EarlierReport]], AnalysedStudy]


class ResultFolder(Protocol):
    """Where result objects are kept, durably."""

    def write_result(self, study_instance_uid: str, result: Dataset) -> Path:
        """Write one; raises StoreError."""

    def why_no_room(self) -> str | None:
        """What to do before results can be written; None when they can."""


class Ahead(Protocol):
    """What there is to do for studies that are still arriving."""

    def look(self, is_told: Callable[[], bool]) -> float | None:
        """Do some of it, until `is_told` and a study waits; seconds until there will be more, None: when told."""


class Worker:
    """One worker. `name` must be no other worker's, of this run or an earlier one."""

    def __init__(
        self,
        name: str,
        store: Store,
        results: ResultFolder,
        analyse: Analyse,
        clock: Callable[[], float] = time.time,
        spare_time: SpareTime | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self._name = name
        self._store = store
        self._results = results
        self._analyse = analyse
        self._clock = clock
        self._spare_time = spare_time
        self._ahead = ahead
        self._told = self._told_aside = ""

    def take_one(self) -> bool:
        """Work on the job whose turn it is, whatever comes of it, or else on one copy; False when nothing can be done.

        A disk without room costs no job an attempt: jobs wait until there is room again.
        """
        try:
            why_waiting = self._results.why_no_room() or ""
            job = None if why_waiting else self._store.claim(self._name, now=self._clock(), lease_s=LEASE_S)
        except StoreError as error:
            why_waiting, job = str(error), None
        if why_waiting and why_waiting != self._told:  # once, however often it is asked
            _LOGGER.error("No study is analysed now: %s", why_waiting, extra={"action": "worker_waits"})
        self._told = why_waiting
        if why_waiting:
            return False
        if job is None:
            return self._use_spare_time()
        self._work_on(job)
        return True

    def wait(self, is_told: Callable[[float | None], bool]) -> None:
        """Work ahead until `is_told` that there may be jobs; it is asked with how long it may wait, None: for ever."""
        while not is_told(self._look_ahead(is_told)):
            pass

    def _look_ahead(self, is_told: Callable[[float | None], bool]) -> float | None:
        ahead = self._ahead
        if ahead is None:
            return None
        return self._aside("Working ahead", "ahead_broke", lambda: ahead.look(lambda: is_told(0.0)))

    def get_warm(self, warm: Callable[[], None]) -> None:
        """Run what makes the first study as fast as the others."""
        self._aside("Warming up", "warming_broke", warm)

    def _use_spare_time(self) -> bool:
        spare_time = self._spare_time
        return spare_time is not None and bool(self._aside("A research copy", "copy_broke", spare_time.copy_one))

    def _aside(self, what: str, action: str, work: Callable[[], _Done]) -> _Done | None:
        """What is no analysis, and must never stop one; None, told once in a row, when it breaks off."""
        try:
            done = work()
        except Exception as error:  # noqa: BLE001  # the same last resort
            told = f"{what} broke off: {type_and_place(error)} ({call_path(error)})"
            if told != self._told_aside:
                # a traceback would quote messages, and they may quote the patient
                _LOGGER.error(told, extra={"action": action})  # noqa: TRY400
            self._told_aside = told
            return None
        self._told_aside = ""
        return done

    def _work_on(self, job: Job) -> None:
        study = job.study_instance_uid
        _LOGGER.info("Analysing study %s, attempt %d", study, job.attempt, extra={"action": "job_started"})
        try:
            with self._lease_kept(job):
                self._analyse_and_record(job)
        except Exception as error:  # noqa: BLE001  # the last resort of the worker: one study must never stop the others
            told = str(error) if isinstance(error, StoreError) else type_and_place(error)
            reason = f"the analysis broke off: {told}"
            state = self._give_up(job, reason)
            _LOGGER.error(  # noqa: TRY400  # a traceback would quote messages, and they may quote the patient
                "Study %s: %s (%s); its job is %s",
                study,
                reason,
                call_path(error),
                state,
                extra={"action": "job_broke"},
            )

    def _give_up(self, job: Job, reason: str) -> str:
        try:
            return self._store.give_up(job.job_id, self._name, reason=reason, now=self._clock())
        except StoreError as error:
            return f"running until its lease ends, since nothing can be recorded: {error}"

    def _analyse_and_record(self, job: Job) -> None:
        study = job.study_instance_uid
        # what is no image is told in the report; own results that came back shall change nothing in it
        received = [each for each in self._store.instances(study) if each.kind is not InstanceKind.OWN_RESULT]
        paths = [instance.path for instance in received]
        started = datetime.datetime.fromtimestamp(self._clock()).astimezone()
        earlier = self._store.earlier_reports(study, before_job=job.job_id)
        analysed = self._analyse(study, paths, started, earlier)
        if not analysed.loaded.headers:
            self._hold(job, analysed)
            return
        only = self._store.made_anew_for(job.job_id, self._name)
        objects = [each for each in analysed.objects if not only or set(only).intersection(each.destinations)]
        results = tuple(Outgoing(self._keep(study, each.dataset), each.destinations) for each in objects)
        kept = self._store.finish(
            job.job_id,
            self._name,
            outcome=analysed.analysis.outcome,
            summary=summarise(analysed.analysis).model_dump_json(),
            results=results,
            now=self._clock(),
            copies=None if self._spare_time is None else self._spare_time.wish,
        )
        _LOGGER.info(
            "Study %s: %s, %d results%s",
            study,
            analysed.analysis.outcome,
            len(results),
            "" if kept else "; another worker has taken the job over, these are dropped",
            extra={"action": "job_finished" if kept else "job_lost"},
        )

    def _hold(self, job: Job, analysed: AnalysedStudy) -> None:
        """Without a header that names the patient there is nobody to write a report about: a person must look."""
        reasons = "; ".join(dict.fromkeys(exclusion.reason for exclusion in analysed.analysis.exclusions))
        reason = f"no report can be made: every instance {reasons or 'is missing'}"
        held = self._store.hold(job.job_id, self._name, reason=reason, now=self._clock())
        _LOGGER.warning(
            "Study %s %s: %s",
            job.study_instance_uid,
            "is held" if held else "would be held, but another worker has taken the job over",
            reason,
            extra={"action": "job_held" if held else "job_lost"},
        )

    def _keep(self, study_instance_uid: str, dataset: Dataset) -> ResultObject:
        return ResultObject(
            path=self._results.write_result(study_instance_uid, dataset),
            modality=str(dataset.Modality),
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            series_instance_uid=str(dataset.SeriesInstanceUID),
        )

    @contextmanager
    def _lease_kept(self, job: Job) -> Iterator[None]:
        """Show a sign of life while the block runs, however long that takes."""
        scheduler = BackgroundScheduler(timezone=datetime.UTC)
        scheduler.add_job(
            self._heartbeat,
            "interval",
            seconds=LEASE_S / 4,
            args=[job.job_id],
            # on a busy machine a late sign of life counts as much as one in time; APScheduler would leave it out
            misfire_grace_time=None,
            coalesce=True,
        )
        scheduler.start()
        try:
            yield
        finally:
            scheduler.shutdown(wait=True)

    def _heartbeat(self, job_id: int) -> None:
        try:
            self._store.heartbeat(job_id, self._name, now=self._clock(), lease_s=LEASE_S)
        except StoreError as error:
            _LOGGER.warning("No sign of life of job %d: %s", job_id, error, extra={"action": "heartbeat_failed"})
