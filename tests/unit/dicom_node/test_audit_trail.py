"""The audit trail on disk and on its way: nothing lost without a word, nothing without a bound, nobody kept waiting."""

import errno
import fcntl
import json
import os
import stat
import threading
from multiprocessing import get_context

import pytest

from dicom_node import audit_messages
from dicom_node.audit_file import AuditFile
from dicom_node.audit_forwarding import Forwarder, Reporter
from dicom_node.audit_messages import Entity
from dicom_node.audit_text import AuditSource
from dicom_node.audit_trail import AuditTrail
from dicom_node.domain.audit import Collector
from dicom_node.store import Store
from dicom_node.syslog import CollectorError
from tests.builders.audit import breaches

NODE = Entity("AINODE", "node")
SOURCE = AuditSource("AINODE")
COLLECTOR = Collector("192.0.2.7", 6514, None)


def messages(count, first=0):
    """So many, told apart by their time."""
    return [audit_messages.started(NODE, at=float(first + number)) for number in range(count)]


def lines(path):
    """What a trail has written."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def times(path):
    """The seconds of its messages."""
    return [line["EventIdentification"]["EventDateTime"][17:19] for line in lines(path)]


class Away:
    """A collector that may be away, and remembers what came."""

    def __init__(self, here=True):
        self.here = here
        self.tries = 0
        self.heard = []

    def __call__(self, records, collector):
        """Take them or do not."""
        assert collector == COLLECTOR
        self.tries += 1
        if not self.here:
            raise CollectorError("no connection")
        self.heard += records


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self):
        """The time."""
        return self.now


@pytest.fixture
def clock():
    """It stands still."""
    return Clock()


def forwarder(store, send, clock, most=100):
    """To a collector with room for so many."""
    return Forwarder(store.audit_records, COLLECTOR, Reporter(NODE, SOURCE, "node", 1), most, send, clock)


def test_lines_are_appended_for_the_nodes_user_alone(tmp_path):
    """In a folder that is made, whole lines even after half of one."""
    path = tmp_path / "log" / "audit.jsonl"
    file = AuditFile(path, 10**6, 3)
    file.append(["1", "2"])
    with path.open("a") as torn:
        torn.write('{"half')
    file.append(["3"])
    assert path.read_text() == '1\n2\n{"half\n3\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_rotated_by_size_and_the_oldest_goes(tmp_path):
    """At most so many files behind the one that is written."""
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, 10, 2)
    for number in range(10):
        file.append([f"line {number}"])
    assert [(tmp_path / f"audit.jsonl.{number}").read_text() for number in (2, 1)] == [
        "line 6\nline 7\n", "line 8\nline 9\n",
    ]  # fmt: skip
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audit.jsonl.1", "audit.jsonl.2"]


def test_whoever_renames_it_need_tell_nobody(tmp_path):
    """As logrotate does."""
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, 10**6, 3)
    file.append(["1"])
    path.rename(tmp_path / "old")
    file.append(["2"])
    assert path.read_text() == "2\n"


def test_a_file_that_is_rotated_while_one_waits_for_it_is_let_go(tmp_path, monkeypatch):
    """Between opening it and holding its lock another process was faster."""
    path = tmp_path / "audit.jsonl"
    file = AuditFile(path, 10**6, 3)
    file.append(["1"])
    lock = fcntl.flock

    def slow(descriptor, operation):
        if not (tmp_path / "audit.jsonl.1").exists():
            path.rename(tmp_path / "audit.jsonl.1")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    file.append(["2"])
    assert ((tmp_path / "audit.jsonl.1").read_text(), path.read_text()) == ("1\n", "2\n")


def append_many(path, name):
    """In a process of its own."""
    file = AuditFile(path, 2000, 50)
    for number in range(100):
        file.append([f"{name}-{number:03}", "x" * 40])


def test_processes_append_and_rotate_side_by_side(tmp_path):
    """As a node and its commands do: each line whole, once, in the order of its process."""
    path = tmp_path / "audit.jsonl"
    writers = [get_context("fork").Process(target=append_many, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    files = sorted(tmp_path.glob("audit.jsonl.*"), key=lambda each: -int(each.suffix[1:]))
    assert len(files) > 3
    found = [line for file in [*files, path] if file.exists() for line in file.read_text().splitlines()]
    for name in "ab":
        assert [line for line in found if line[0] == name] == [f"{name}-{number:03}" for number in range(100)]


def test_a_full_disk_leaves_no_half_message_and_a_gap_that_is_told(tmp_path, monkeypatch, caplog):
    """Nobody is stopped by it; the first that is written again says how many are missing."""
    path = tmp_path / "audit.jsonl"
    trail = AuditTrail(NODE, SOURCE, AuditFile(path, 10**6, 3), None)
    trail.record(*messages(1))
    write = os.write

    def full(descriptor, content):
        if not len(content) > 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        trail.record(*messages(2, first=1))
        trail.record(*messages(1, first=3))
    assert len(lines(path)) == 1
    trail.record(*messages(1, first=4))
    [_, gap, last] = lines(path)
    assert gap["EventIdentification"]["EventTypeCode"] == ["110134, DCM, Audit Recording Started"]
    [subject] = gap["ParticipantObjectIdentification"]
    assert subject["ParticipantObjectDetail"]["Alert Description"].startswith(
        "3 messages from 1970-01-01T00:00:01.000Z"
    )
    assert last["EventIdentification"]["EventDateTime"] == "1970-01-01T00:00:04.000Z"
    assert [record.action for record in caplog.records] == ["audit_failed", "audit_failed"]
    assert "No space left on device" in caplog.text


def test_records_wait_for_a_collector_and_go_in_order(tmp_path, store, clock):
    """Through a restart of the node as well; each once."""
    away = Away(here=False)
    forwarder(store, away, clock).put(messages(3))
    assert forwarder(store, away, clock).forward() == 0
    again = forwarder(Store.open(tmp_path / "node.db"), away, clock)
    again.put(messages(2, first=3))
    away.here = True
    assert (again.forward(), again.forward()) == (5, 0)
    assert [record.split(" ")[1][17:19] for record in away.heard] == ["00", "01", "02", "03", "04"]
    assert all(breaches(record.split("\ufeff")[1]) == [] for record in away.heard)
    assert store.audit_records.waiting() == 0


def test_many_records_go_in_several_connections(store, clock):
    """None of them gets longer and longer."""
    away = Away()
    queue = forwarder(store, away, clock, most=1000)
    queue.put(messages(450))
    assert queue.forward() == 450
    assert away.tries == 3


def test_a_collector_that_is_away_is_tried_more_and_more_seldom(store, clock, caplog):
    """At most every five minutes, told once; it is back at once when it is back."""
    away = Away(here=False)
    queue = forwarder(store, away, clock)
    queue.put(messages(1))
    tried = []
    for second in range(2000):
        clock.now, before = float(second), away.tries
        queue.forward()
        if away.tries > before:
            tried.append(second)
    assert tried == [0, 5, 15, 35, 75, 155, 315, 615, 915, 1215, 1515, 1815]
    assert [record.action for record in caplog.records] == ["audit_collector_away"]
    clock.now, away.here = 2200.0, True
    assert queue.forward() == 1
    queue.put(messages(1))
    assert queue.forward() == 1


def test_where_there_is_no_more_room_the_gap_is_told_at_both_ends(store, clock, caplog):
    """What waits is bounded; what was there first stays."""
    away = Away(here=False)
    queue = forwarder(store, away, clock, most=10)
    for number in range(30):
        queue.put(messages(1, first=number))
    assert store.audit_records.waiting() == 11
    assert [record.action for record in caplog.records] == ["audit_forwarding_full"]
    away.here = True
    assert queue.forward() == 11
    queue.put(messages(1, first=40))
    queue.forward()
    kinds = [record.split("<EventTypeCode csd-code=")[1][1:7] for record in away.heard]
    assert kinds == ["110120"] * 10 + ["110133", "110134", "110120"]
    assert all(breaches(record.split("\ufeff")[1]) == [] for record in away.heard)


def test_nobody_who_records_waits_for_the_collector(tmp_path, store, clock):
    """It is forwarded by a task of its own; meanwhile others put."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_records, _collector):
        inside.set()
        assert go_on.wait(20)

    queue = forwarder(store, slow, clock)
    trail = AuditTrail(NODE, SOURCE, AuditFile(tmp_path / "audit.jsonl", 10**6, 3), queue)
    trail.record(*messages(1))
    thread = threading.Thread(target=trail.forward)
    thread.start()
    assert inside.wait(20)
    trail.record(*messages(1, first=1))
    assert times(tmp_path / "audit.jsonl") == ["00", "01"]
    go_on.set()
    thread.join(20)


def test_a_database_that_refuses_stops_nobody(tmp_path, store, clock, caplog):
    """The file has the message; the log says what is missing at the collector."""
    queue = forwarder(store, Away(), clock)
    trail = AuditTrail(NODE, SOURCE, AuditFile(tmp_path / "audit.jsonl", 10**6, 3), queue)
    store.close()
    trail.record(*messages(1))
    assert len(lines(tmp_path / "audit.jsonl")) == 1
    assert "1 audit messages are not forwarded" in caplog.text
