"""Keeps one worker process alive and tells it when there is work.

The two talk over a pipe: a message to the worker means "look for jobs"; one from it says that it has its models, every
other that no job is left that it knows of. When the node dies the pipe closes, and the worker ends after the job at
hand.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.bell import Ringer
from dicom_node.domain.delivery import EarlierReport
from dicom_node.faults import tell_without_messages
from dicom_node.logs import configure_logging
from dicom_node.settings import Settings
from dicom_node.spool import Spool
from dicom_node.store import Store

if TYPE_CHECKING:  # it imports torch
    from dicom_node.pipeline import AnalysedStudy

_LOGGER = logging.getLogger(__name__)

_MESSAGE = b"."
_READY = b"r"
#: A worker that dies at once, for want of memory say, is not started over and over without a pause.
_RESTART_AFTER_S = 5.0
#: What the libraries under numpy, torch and OpenCV ask for their number of threads, when they are loaded.
_THREADS_OF_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class WorkerProcess:
    """Started by the first `tick`, started again by a later one when it has died. Safe for many threads.

    It rings `results` when there are some to be delivered.
    """

    def __init__(self, settings: Settings, results: Ringer) -> None:
        self._settings = settings
        self._results = results
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._idle = False
        self._is_ready = False
        self._started_at = float("-inf")

    @property
    def was_started(self) -> bool:
        """Whether there is one, or was."""
        return self._process is not None

    @property
    def is_ready(self) -> bool:
        """Whether the one that was started last has had its models ready."""
        return self._is_ready

    def tick(self) -> None:
        """See that the worker lives, and have it look for jobs unless it is busy."""
        with self._lock:
            if self._process is None or not self._process.is_alive():
                self._start()
            try:
                self._wake()
            except (EOFError, OSError):  # it died just now: the next tick starts another
                self._idle = False

    def hang_up(self) -> None:
        """Have it end after the job at hand."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def stop(self, grace_s: float) -> None:
        """Let it finish the job at hand within `grace_s`, then end it; after a restart that job is taken up again."""
        self.hang_up()
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.join(grace_s)
        if process.is_alive():
            _LOGGER.warning("Ended the worker in mid-study; the study is taken up again at the next start")
            process.kill()
            process.join()

    def _start(self) -> None:
        if time.monotonic() - self._started_at < _RESTART_AFTER_S:
            return
        if self._process is not None:
            code = self._process.exitcode
            _LOGGER.error("The worker died (exit code %s); starting another", code, extra={"action": "worker_died"})
        self._started_at = time.monotonic()
        self._idle = self._is_ready = False
        self._connection, theirs = self._context.Pipe()
        arguments = (self._settings, theirs, self._results)
        self._process = self._context.Process(target=_main, args=arguments, name="dicom-node-worker")
        with _environment(_for_libraries(self._settings.runtime.threads)):
            self._process.start()
        theirs.close()

    def _wake(self) -> None:
        connection = self._connection
        if connection is None:
            return
        while connection.poll():
            self._idle = connection.recv_bytes() != _READY
            self._is_ready = True
        if self._idle:
            self._idle = False
            connection.send_bytes(_MESSAGE)


def _for_libraries(threads: int | None) -> dict[str, str]:
    """What the libraries of a worker find in their environment.

    OpenMP's threads sleep while they wait for each other: those that spin take the core of the one they wait for, as
    soon as two workers compute.
    """
    capped = {} if threads is None else dict.fromkeys(_THREADS_OF_LIBRARIES, str(threads))
    return {"OMP_WAIT_POLICY": "passive"} | capped


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started in the block finds these in its environment; this process computes nothing itself."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _main(settings: Settings, connection: Connection, results: Ringer) -> None:
    """The process: make the models ready once, then work whenever there is a message."""
    # imported here: torch belongs to this process, the receiving one stays small and starts at once
    from dicom_node.cluster import cluster_for  # noqa: PLC0415
    from dicom_node.engine import build_engine  # noqa: PLC0415
    from dicom_node.front import Front  # noqa: PLC0415
    from dicom_node.pipeline import analyse_study  # noqa: PLC0415
    from dicom_node.research.setup import spare_time  # noqa: PLC0415
    from dicom_node.warming import warm  # noqa: PLC0415
    from dicom_node.worker import Worker  # noqa: PLC0415
    from dicom_node.working_ahead import WorkingAhead  # noqa: PLC0415

    for ignored in (signal.SIGINT, signal.SIGTERM):  # the node decides when its worker ends
        signal.signal(ignored, signal.SIG_IGN)
    os.nice(settings.runtime.niceness)  # receiving goes first
    tell_without_messages()
    configure_logging(settings.log.level)
    engine = build_engine(settings)
    store = Store.open(settings.database, settings.runtime.workers or 1)
    spool = Spool(settings.node.storage, settings.receive.minimum_free_bytes)
    front = Front(settings.node.storage)
    shelf, cluster = cluster_for(engine.shelf, settings, store)
    engine = replace(engine, shelf=shelf)
    ahead = WorkingAhead(store, engine, time.time) if settings.runtime.work_ahead else None
    asked = engine if ahead is None else ahead.engine

    def analyse(
        study: str, paths: Sequence[Path], when: datetime.datetime, earlier: Sequence[EarlierReport]
    ) -> AnalysedStudy:
        front.step_aside()
        refused = store.refused_classes(now=time.time())
        return analyse_study(study, paths, asked.without(refused), when, earlier)

    worker = Worker(
        name=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        store=store,
        results=spool,
        analyse=analyse,
        spare_time=spare_time(settings, store, spool, time.time),
        ahead=ahead,
    )
    _LOGGER.info("The worker is ready", extra={"action": "worker_ready"})
    try:
        with contextlib.suppress(EOFError, OSError):  # the node has closed the pipe, or is gone
            connection.send_bytes(_READY)
            is_warm = False
            while True:
                if not (is_warm or store.is_claimable()):
                    is_warm = True
                    worker.get_warm(lambda: warm(engine, lambda: not (connection.poll() or store.is_claimable())))
                front.step_up()
                if connection.poll():  # a worker that has said nothing is sent nothing: this is the end of the pipe
                    return
                if worker.take_one():
                    results.ring()
                    continue
                connection.send_bytes(_MESSAGE)
                worker.wait(connection.poll)
                connection.recv_bytes()
    finally:
        if cluster is not None:
            cluster.stop()
        front.close()
        store.close()
