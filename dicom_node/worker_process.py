"""Keeps one worker process alive and tells it when there is work.

The two talk over a pipe: a message to the worker means "look for jobs"; one from it says that it has its models, every
other that no job is left that it knows of. When the node dies the pipe closes, and the worker ends after the job at
hand.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from dicom_node.bell import Ringer
from dicom_node.faults import tell_without_messages
from dicom_node.logs import configure_logging
from dicom_node.settings import Settings
from dicom_node.worker_pipe import LOOK, READY

_LOGGER = logging.getLogger(__name__)

#: A worker that dies at once, for want of memory say, is not started over and over without a pause.
_RESTART_AFTER_S = 5.0
#: What the libraries under numpy, torch and OpenCV ask for their number of threads, when they are loaded.
_THREADS_OF_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class WorkerProcess:
    """Started by the first `tick`, started again by a later one when it has died. Safe for many threads.

    It rings `results` when there are some to be delivered. `workers` share its models, each in a thread of its own.
    """

    def __init__(self, settings: Settings, results: Ringer, workers: int = 1) -> None:
        self._settings = settings
        self._results = results
        self._workers = workers
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
        arguments = (self._settings, theirs, self._results, self._workers)
        self._process = self._context.Process(target=_main, args=arguments, name="dicom-node-worker")
        with _threads_capped(self._settings.runtime.threads):
            self._process.start()
        theirs.close()

    def _wake(self) -> None:
        connection = self._connection
        if connection is None:
            return
        while connection.poll():
            self._idle = connection.recv_bytes() != READY
            self._is_ready = True
        if self._idle:
            self._idle = False
            connection.send_bytes(LOOK)


@contextlib.contextmanager
def _threads_capped(threads: int | None) -> Iterator[None]:
    """What is started in the block finds so many threads in its environment; this process computes nothing itself."""
    if threads is None:
        yield
        return
    before = {name: os.environ.get(name) for name in _THREADS_OF_LIBRARIES}
    os.environ.update(dict.fromkeys(_THREADS_OF_LIBRARIES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _main(settings: Settings, connection: Connection, results: Ringer, workers: int) -> None:
    """The process: until the node closes the pipe."""
    # imported here: torch belongs to this process, the receiving one stays small and starts at once
    from dicom_node.side_by_side import work  # noqa: PLC0415

    for ignored in (signal.SIGINT, signal.SIGTERM):  # the node decides when its worker ends
        signal.signal(ignored, signal.SIG_IGN)
    os.nice(settings.runtime.niceness)  # receiving goes first
    tell_without_messages()
    configure_logging(settings.log.level)
    work(settings, connection, results, workers)
