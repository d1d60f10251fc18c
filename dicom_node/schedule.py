"""Everything that waits for the clock: tasks at intervals and once a day, run by APScheduler."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from dicom_node.domain.errors import NodeError
from dicom_node.faults import type_and_place

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do again and again. It is never run twice at once; a run that is late is not made up for."""

    name: str
    #: Seconds from one run to the next, or the time of day, in the time zone of the machine, of the one run a day.
    when: float | datetime.time
    run: Callable[[], object]


class _Run:
    """A task as the scheduler runs it: hastened in the middle of a run, it is run once more."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._is_running = self._again = False

    def __call__(self) -> None:
        self._again = True
        while self._goes_on():
            try:
                self._run()
            except BaseException:
                self._is_running = False
                raise

    def again(self) -> bool:
        """Have it run once more if it runs; whether it does."""
        with self._lock:
            self._again = self._again or self._is_running
            return self._is_running

    def _goes_on(self) -> bool:
        with self._lock:
            self._is_running, self._again = self._again, False
            return self._is_running


class Schedule:
    """Runs tasks between `start` and `stop`, each in a thread of its own when it is due."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = tasks = tuple(tasks)
        self._scheduler = BackgroundScheduler(
            timezone=datetime.UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(tasks)))},
            # a task that takes longer than its interval skips runs; misfire_grace_time None: however late, it runs
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._told: dict[str, str] = {}
        self._runs = {task.name: _Run(task.run) for task in tasks}
        self._scheduler.add_listener(self._tell_of, EVENT_JOB_ERROR)
        self._scheduler.add_listener(lambda run: self._told.pop(run.job_id, None), EVENT_JOB_EXECUTED)
        for task in tasks:
            self._scheduler.add_job(self._runs[task.name], trigger_of(task.when), id=task.name, name=task.name)

    def start(self) -> None:
        """Begin; the first run of each task comes after its interval, or at its time of day."""
        self._scheduler.start()

    def hasten(self, name: str, after_s: float = 0.0) -> None:
        """Have the task of this name run in so many seconds at the latest, then at its interval; nothing when stopped.

        What is to run now, and does so already, is run once more.
        """
        if not self._scheduler.running or (after_s <= 0 and name in self._runs and self._runs[name].again()):
            return
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=after_s)
        with suppress(JobLookupError):  # stopped meanwhile
            job = self._scheduler.get_job(name)
            if job is not None and job.next_run_time > at:
                job.modify(next_run_time=at)

    def run_now(self) -> None:
        """The clock was set, and next runs may be far away: what has an interval runs at once, what has a time of day
        when that comes."""
        if self._scheduler.running:
            for task in self._tasks:
                if isinstance(task.when, datetime.time):
                    self._scheduler.reschedule_job(task.name, trigger=trigger_of(task.when))
                else:
                    self.hasten(task.name)

    def stop(self) -> None:
        """Begin no other run, and wait for those under way."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _tell_of(self, failure: JobExecutionEvent) -> None:
        """A task that raises is run again at its next time, and told of once until it succeeds or says something else.

        APScheduler's own word on it, with a traceback, is silenced. Only the node's own errors may be quoted.
        """
        error = failure.exception
        told = str(error) if isinstance(error, NodeError) else type_and_place(error)
        if self._told.get(failure.job_id) != told:
            self._told[failure.job_id] = told
            _LOGGER.error("The task %r broke off: %s", failure.job_id, told, extra={"action": "task_broke"})


def trigger_of(when: float | datetime.time) -> IntervalTrigger | CronTrigger:
    """When a task runs: every so many seconds, or once a day; a clock that is put forward or back moves that run."""
    if isinstance(when, datetime.time):
        return CronTrigger(hour=when.hour, minute=when.minute)
    return IntervalTrigger(seconds=when, timezone=datetime.UTC)
