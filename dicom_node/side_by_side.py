"""What runs in a worker process: the models once, and the workers that share them, each in a thread of its own.

Only who is at the front talks to the node, so that one pipe does for all.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from dicom_node.bell import Ringer
from dicom_node.cluster import cluster_for
from dicom_node.domain.delivery import EarlierReport
from dicom_node.engine import build_engine
from dicom_node.front import Front
from dicom_node.pipeline import AnalysedStudy, Engine, analyse_study
from dicom_node.research.setup import spare_time
from dicom_node.settings import Settings
from dicom_node.spool import Spool
from dicom_node.store import Store
from dicom_node.warming import warm
from dicom_node.worker import Worker
from dicom_node.worker_pipe import NONE_LEFT, READY
from dicom_node.working_ahead import WorkingAhead
from inference.batching import batched

_LOGGER = logging.getLogger(__name__)

#: How long pictures of one study wait on their way to a GPU for those of another.
COMPANY_S = 0.002


@dataclass(frozen=True, slots=True)
class Shared:
    """What the workers of a process have in common."""

    settings: Settings
    engine: Engine
    store: Store
    spool: Spool
    connection: Connection
    results: Ringer


def work(settings: Settings, connection: Connection, results: Ringer, workers: int) -> None:
    """Make the models ready, then have so many workers take jobs until the node closes the pipe, or is gone."""
    engine = build_engine(settings)
    store = Store.open(settings.database, settings.runtime.workers or 1)
    spool = Spool(settings.node.storage, settings.receive.minimum_free_bytes)
    shelf, cluster = cluster_for(batched(engine.shelf, workers, COMPANY_S), settings, store)
    shared = Shared(settings, replace(engine, shelf=shelf), store, spool, connection, results)
    _LOGGER.info("The worker is ready", extra={"action": "worker_ready"})
    try:
        with contextlib.suppress(OSError):
            connection.send_bytes(READY)
        all_of([partial(_work_on_jobs, shared, is_warm=number > 0) for number in range(workers)])
    finally:
        if cluster is not None:
            cluster.stop()
        store.close()


def all_of(tasks: Sequence[Callable[[], None]]) -> None:
    """Run them side by side to their ends. Raises RuntimeError as soon as one of them breaks off."""
    if len(tasks) == 1:
        tasks[0]()
        return
    ended, well = threading.Semaphore(0), list[int]()

    def run(number: int) -> None:
        try:
            tasks[number]()
            well.append(number)
        finally:
            ended.release()

    for number in range(len(tasks)):
        threading.Thread(target=run, args=(number,), name=f"worker-{number}", daemon=True).start()
    for count in range(len(tasks)):
        ended.acquire()
        if len(well) <= count:  # the process ends, and the node starts another
            raise RuntimeError("a worker broke off")


def _work_on_jobs(shared: Shared, *, is_warm: bool) -> None:
    """One worker. The first makes warm what all share."""
    connection, store = shared.connection, shared.store
    front = Front(shared.settings.node.storage)
    worker = _worker(shared, front)

    def may_warm() -> bool:
        return not (connection.poll() or store.is_claimable())

    try:
        with contextlib.suppress(EOFError, OSError):  # the node has closed the pipe, or is gone
            while True:
                if not (is_warm or store.is_claimable()):
                    is_warm = True
                    worker.get_warm(partial(warm, shared.engine, may_warm))
                front.step_up()
                if connection.poll():  # who has said nothing is sent nothing: this is the end of the pipe
                    return
                if worker.take_one():
                    shared.results.ring()
                    continue
                connection.send_bytes(NONE_LEFT)
                worker.wait(connection.poll)
                connection.recv_bytes()
    finally:
        front.close()


def _worker(shared: Shared, front: Front) -> Worker:
    """One that is at the front until it begins with a study."""
    settings, engine, store = shared.settings, shared.engine, shared.store
    ahead = WorkingAhead(store, engine, time.time) if settings.runtime.work_ahead else None
    asked = engine if ahead is None else ahead.engine

    def analyse(
        study: str, paths: Sequence[Path], when: datetime.datetime, earlier: Sequence[EarlierReport]
    ) -> AnalysedStudy:
        front.step_aside()
        return analyse_study(study, paths, asked.without(store.refused_classes(now=time.time())), when, earlier)

    return Worker(
        name=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        store=store,
        results=shared.spool,
        analyse=analyse,
        spare_time=spare_time(settings, store, shared.spool, time.time),
        ahead=ahead,
    )
