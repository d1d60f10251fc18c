"""How long the node's questions to its database take with a million instances in it:
`python -m benchmarks.state_queries [--studies N] [--rounds N] [--json FILE]`.

Every study has fifty instances, a job that is done, two results, two deliveries that arrived and eight events; some are
under way. Each question is asked through the store, as the node and its commands ask it.
"""

from __future__ import annotations

import itertools
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.rounds import Figure, Ratio, in_rounds, machine, options, report
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.store import Store

_IMAGES = 50
#: Of all studies these are still coming, wait for a worker, and wait to be sent.
_RECEIVING, _READY, _DELIVERING = 8, 20, 20
_EVENTS = ("receiving", "ready", "running", "delivering", "sent", "sent", "done", "duplicate")
_STARTED, _EVERY_S = 1.7e9, 60.0
#: What is promised of each question, and of a removal, which rewrites all that it takes.
_GOAL_MS, _REMOVAL_GOAL_MS = 10.0, 50.0
_ROOT = "1.2.826.0.1.3680043.8.498"
_REMOVALS = ("expire one study", "forget one study")
#: What looks at every study there is, every ten minutes or when a person wants it so: no promise.
_OF_ALL = ("which studies may go", "status, all studies")

Rows = Iterator[tuple[object, ...]]


def _uid(study: int, *more: int) -> str:
    return ".".join((_ROOT, str(10_000_000 + study), *map(str, more)))


def _instances(studies: int) -> Rows:
    for study, image in itertools.product(range(studies), range(_IMAGES)):
        uid = _uid(study, 1, image)
        at = _STARTED + study * _EVERY_S + image / 10
        path = f"/srv/node/spool/{_uid(study)}/{_uid(study, 1)}/{uid}.dcm"
        kind, syntax = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
        digest = f"{study:032x}{image:032x}"
        yield uid, _uid(study), _uid(study, 1), kind, syntax, "image", path, 526_000, digest, f"CT{study % 5}", at


def _jobs(studies: int) -> Rows:
    for study in range(studies):
        left = studies - study
        at = _STARTED + study * _EVERY_S
        state = "done"
        if left <= _RECEIVING:
            state = "receiving"
        elif left <= _RECEIVING + _READY:
            state = "ready"
        elif left <= _RECEIVING + _READY + _DELIVERING:
            state = "delivering"
        analysed = state in ("done", "delivering")
        settled = None if state == "receiving" else at + 10
        summary = '{"volumes": []}' if analysed else None
        yield study + 1, _uid(study), state, "a reason", at, at + 5, settled, at + 20 if analysed else None, summary


def _results(studies: int) -> Rows:
    for study, number in itertools.product(range(studies - _RECEIVING - _READY), range(2)):
        uid = _uid(study, 9, number)
        yield 2 * study + number + 1, study + 1, f"/srv/{uid}.dcm", "SR", "1.2.840.10008.5.1.4.1.1.88.33", uid, uid


def _deliveries(studies: int) -> Rows:
    for result, job, *_ in _results(studies):
        pending = int(str(job)) > studies - _RECEIVING - _READY - _DELIVERING
        yield result, job, result, "PACS", "pending" if pending else "sent", None if pending else 0, _STARTED


def _events(studies: int) -> Rows:
    for study, action in itertools.product(range(studies), _EVENTS):
        at = _STARTED + study * _EVERY_S
        yield at, _uid(study), None if action == "duplicate" else study + 1, action, f"{_uid(study, 1, 1)} because"


_TABLES: tuple[tuple[str, str, Callable[[int], Rows]], ...] = (
    (
        "instance",
        "sop_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid, transfer_syntax_uid, kind, path,"
        " size_bytes, digest, calling_ae_title, received_at",
        _instances,
    ),
    (
        "job",
        "job_id, study_instance_uid, state, reason, opened_at, last_image_at, settled_at, finished_at, summary",
        _jobs,
    ),
    (
        "result",
        "result_id, job_id, path, modality, sop_class_uid, sop_instance_uid, series_instance_uid",
        _results,
    ),
    ("delivery", "delivery_id, job_id, result_id, peer, state, status, due_at", _deliveries),
    ("event", "at, study_instance_uid, job_id, action, reason", _events),
)


def filled(path: Path, studies: int) -> Store:
    """A store of so many studies at `path`, through the node's own schema."""
    Store.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table, columns, rows in _TABLES:
            places = ", ".join("?" * len(columns.split(",")))
            connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places})", rows(studies))
        connection.execute("COMMIT")
    return Store.open(path)


def _new_instance(study: int, number: int) -> Instance:
    uid = _uid(study, 1, number)
    path = Path("/srv") / f"{uid}.dcm"
    kind, syntax = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
    return Instance(uid, kind, syntax, _uid(study, 1), _uid(study), InstanceKind.IMAGE, path, 1, f"{number:064x}")


def _questions(store: Store, studies: int) -> dict[str, Callable[[], object]]:
    """What is asked per instance, per second and per command."""
    now, numbers, going = _STARTED + studies * _EVERY_S, itertools.count(1000), itertools.count()
    coming, done = studies - 1, studies // 2

    def _receive(study: int, number: int) -> object:
        return store.record_instance(_new_instance(study, number), calling_ae="CT1", now=now)

    return {
        "one more instance of a study": lambda: _receive(coming, next(numbers)),
        "the first instance of a study": lambda: _receive(studies + next(numbers), 0),
        "an instance again": lambda: _receive(coming, 1000),
        "which studies are coming": store.receiving,
        "which series are coming": store.series_arriving,
        "whether a study waits": store.is_claimable,
        "own objects of a study": lambda: store.has_own_objects(_uid(done)),
        "claim, heartbeat": lambda: _claim(store, now),
        "what is due": lambda: store.due(now=now),
        "instances of a study": lambda: store.instances(_uid(done)),
        "digest of an instance": lambda: store.digest(_uid(done, 1, 0)),
        "earlier reports of a study": lambda: store.earlier_reports(_uid(done), before_job=studies + 1),
        "what peers refuse": lambda: store.refused_classes(now=now),
        "latest event": store.latest_at,
        "destinations": lambda: store.destinations(now=now),
        "status, 20 studies": lambda: store.studies(20),
        "status of one study": lambda: store.history(_uid(done)),
        "expire one study": lambda: store.expire(
            _uid(next(going)), why="old", discard=lambda _uid, _conflicts: None, now=now
        ),
        "forget one study": lambda: store.forget(_uid(next(going)), discard=lambda _uid, _conflicts: None, now=now),
        "which studies may go": store.left_alone,
        "status, all studies": store.studies,
    }


def _claim(store: Store, now: float) -> None:
    job = store.claim("benchmark", now=now, lease_s=20.0)
    if job is not None:
        store.heartbeat(job.job_id, "benchmark", now=now, lease_s=20.0)


def _milliseconds(question: Callable[[], object], times: int) -> Callable[[], float]:
    """Of the middle one of several: now and then SQLite moves its log into the file, whoever's turn it is."""

    def once() -> float:
        started = time.perf_counter()
        question()
        return (time.perf_counter() - started) * 1000

    return lambda: statistics.median(once() for _ in range(times))


def _ratios(figures: dict[str, Figure]) -> list[Ratio]:
    """How many times as fast as promised what somebody waits for is."""
    goals = {name: _REMOVAL_GOAL_MS if name in _REMOVALS else _GOAL_MS for name in figures if name not in _OF_ALL}
    return [Ratio(f"{name}: {goal:g} ms / median", goal / figures[name].median, 1.0) for name, goal in goals.items()]


def main() -> None:
    """Fill a database, ask, print."""
    parser = options(__doc__, rounds=11)
    parser.add_argument("--studies", type=int, default=20_000, help=f"of {_IMAGES} instances each")
    wanted, on = parser.parse_args(), machine()
    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder) / "node.db", wanted.studies)
        questions = _questions(store, wanted.studies)
        figures = in_rounds(
            {name: _milliseconds(each, 1 if name in _OF_ALL else 5) for name, each in questions.items()}, wanted.rounds
        )
        store.close()
    report("state queries", "ms", figures, _ratios(figures), on=on, file=wanted.json)


if __name__ == "__main__":
    main()
