"""Everything that waits for the clock: tasks at intervals, run by APScheduler."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do again and again. It is never run twice at once; a run that is late is not made up for."""

    name: str
    every_s: float
    run: Callable[[], object]


class Schedule:
    """Runs tasks between `start` and `stop`, each in a thread of its own when it is due."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        tasks = tuple(tasks)
        self._scheduler = BackgroundScheduler(
            timezone=datetime.UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(tasks)))},
            # a task that takes longer than its interval skips runs; misfire_grace_time None: however late, it runs
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for task in tasks:
            self._scheduler.add_job(task.run, "interval", seconds=task.every_s, id=task.name, name=task.name)

    def start(self) -> None:
        """Begin; the first run of each task comes after its interval."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no other run, and wait for those under way."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
