"""What waits for the clock: tasks, and the process that works."""

import datetime
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from dicom_node import worker_process
from dicom_node.bell import Bell
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import JobState
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.schedule import Schedule, Task, trigger_of
from dicom_node.settings import load_settings
from dicom_node.store import Store
from dicom_node.worker_process import WorkerProcess
from tests.builders.command import eventually, write_config

PATIENCE_S = 30.0


def test_a_task_runs_again_and_again():
    """Until the schedule stops."""
    runs = threading.Semaphore(0)
    schedule = Schedule([Task("count", 0.01, runs.release)])
    schedule.start()
    assert all(runs.acquire(timeout=PATIENCE_S) for _ in range(3))
    schedule.stop()


def test_a_task_may_be_hastened():
    """It runs long before its time; a stopped schedule, and a name nobody has, are no matter."""
    runs = threading.Semaphore(0)
    schedule = Schedule([Task("count", 3600.0, runs.release)])
    schedule.hasten("count")
    schedule.start()
    schedule.hasten("count")
    assert runs.acquire(timeout=PATIENCE_S)
    schedule.hasten("other")
    schedule.stop()
    schedule.hasten("count")


def test_a_task_that_is_hastened_while_it_runs_runs_once_more():
    """What it was hastened for may have come after it had looked."""
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)

    def look():
        entered.release()
        leave.acquire(timeout=PATIENCE_S)

    schedule = Schedule([Task("look", 3600.0, look)])
    schedule.start()
    schedule.hasten("look")
    assert entered.acquire(timeout=PATIENCE_S)
    schedule.hasten("look")
    schedule.hasten("look")
    leave.release(2)
    assert entered.acquire(timeout=PATIENCE_S)
    schedule.stop()
    assert not entered.acquire(blocking=False)


def test_a_task_may_be_hastened_to_a_time_to_come_and_is_never_put_off():
    """The earlier of both times counts, and then the interval again."""
    runs = threading.Semaphore(0)
    schedule = Schedule([Task("soon", 0.01, runs.release), Task("late", 3600.0, runs.release)])
    schedule.start()
    schedule.hasten("soon", 3600.0)
    assert all(runs.acquire(timeout=PATIENCE_S) for _ in range(3))
    schedule.stop()
    schedule = Schedule([Task("late", 3600.0, runs.release)])
    schedule.start()
    while runs.acquire(blocking=False):
        pass
    schedule.hasten("late", 0.05)
    assert runs.acquire(timeout=PATIENCE_S)
    schedule.stop()


def ring_from_afar(ringer):
    """What another process does."""
    ringer.ring()


def test_a_bell_is_heard_across_processes_and_rings_without_a_listener():
    """Also a thousand times before anybody listens: who rings waits for nobody."""
    heard = threading.Event()
    bell = Bell(heard.set)
    for _ in range(20_000):
        bell.ringer.ring()
    bell.start()
    assert heard.wait(PATIENCE_S)
    heard.clear()
    process = multiprocessing.get_context("spawn").Process(target=ring_from_afar, args=(bell.ringer,))
    process.start()
    process.join(PATIENCE_S)
    assert heard.wait(PATIENCE_S)
    bell.stop()
    bell.ringer.ring()


def test_a_bell_that_nobody_listens_to_can_be_stopped():
    """As when a node does not come up."""
    Bell(lambda: None).stop()


def test_a_task_is_never_run_twice_at_once_and_stop_waits_for_it():
    """A slow run holds the next one back; another task goes on meanwhile."""
    entered, leave, others = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)
    inside, most, finished = [], [], []

    def slow():
        inside.append(1)
        most.append(len(inside))
        entered.release()
        leave.wait(PATIENCE_S)
        inside.pop()
        finished.append(1)

    schedule = Schedule([Task("slow", 0.01, slow), Task("other", 0.01, others.release)])
    schedule.start()
    assert entered.acquire(timeout=PATIENCE_S)
    assert all(others.acquire(timeout=PATIENCE_S) for _ in range(5))
    threading.Timer(0.1, leave.set).start()
    schedule.stop()
    assert max(most) == 1
    assert len(finished) == len(most)


def test_a_task_may_have_its_time_of_day():
    """In the time zone of the machine; the next such time, today or tomorrow."""
    now = datetime.datetime.now().astimezone()
    due = trigger_of(datetime.time(2, 30)).get_next_fire_time(None, now)
    assert (due.hour, due.minute, due.second) == (2, 30, 0)
    assert due.utcoffset() == due.astimezone().utcoffset()
    assert datetime.timedelta() < due - now <= datetime.timedelta(hours=25)


def test_a_task_that_raises_is_run_again(caplog):
    """Its type and place are logged, what it says is not."""
    runs = threading.Semaphore(0)

    def broken():
        runs.release()
        raise ValueError("Doe^Jane")

    schedule = Schedule([Task("broken", 0.01, broken)])
    schedule.start()
    assert all(runs.acquire(timeout=PATIENCE_S) for _ in range(2))
    schedule.stop()
    ours = [record.getMessage() for record in caplog.records if record.name == "dicom_node.schedule"]
    assert "The task 'broken' broke off: ValueError at test_clockwork.py:" in ours[0]
    assert "Doe" not in "".join(ours)


def test_a_task_that_goes_on_failing_is_told_of_once_with_its_remedy(caplog):
    """The node's own errors say what to do; once it has worked again, the next failure is news."""
    runs, failing = threading.Semaphore(0), [True, True, True, False, True]

    def task():
        fails = failing.pop(0) if failing else False
        runs.release()
        if fails:
            raise StoreError("make room on its disk")

    schedule = Schedule([Task("settle", 0.01, task)])
    schedule.start()
    assert all(runs.acquire(timeout=PATIENCE_S) for _ in range(7))
    schedule.stop()
    ours = [record.getMessage() for record in caplog.records if record.name == "dicom_node.schedule"]
    assert ours == ["The task 'settle' broke off: make room on its disk"] * 2


def test_tasks_run_at_once_when_the_clock_was_set():
    """Their next times are by the old clock."""
    ran = threading.Event()
    schedule = Schedule([Task("daily", 86400.0, ran.set)])
    schedule.start()
    schedule.run_now()
    assert ran.wait(PATIENCE_S)
    schedule.stop()


def test_stopping_what_was_never_started_is_harmless():
    """As when a port is taken."""
    Schedule([]).stop()


def test_one_schedule_starts_and_stops_once():
    """A second stop finds nothing to do."""
    schedule = Schedule([Task("nothing", 3600.0, lambda: None)])
    schedule.start()
    schedule.stop()
    schedule.stop()


@pytest.fixture
def settings(tmp_path):
    """Of a node without model packages, so that its worker is ready soon."""
    config, _ = write_config(tmp_path, 4242)
    (tmp_path / "var").mkdir()
    (tmp_path / "none").mkdir()
    quick = {"DICOM_NODE_MODELS__FOLDER": str(tmp_path / "none"), "DICOM_NODE_RUNTIME__NICENESS": "0"}
    return load_settings(config, quick)


def workers():
    """Worker processes of this test's process."""
    return [child for child in multiprocessing.active_children() if child.name == "dicom-node-worker"]


@pytest.fixture
def store(settings):
    """The database the worker finds its jobs in."""
    store = Store.open(settings.database)
    yield store
    store.close()


def hopeless_study(store, study):
    """A settled study whose only file is not there: the worker holds it, and needs no model to find that out."""
    instance = Instance(f"{study}.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1", f"{study}.2", study,
                        InstanceKind.IMAGE, Path(f"/nowhere/{study}.dcm"), 10, "d")  # fmt: skip
    store.record_instance(instance, calling_ae="PACS", now=100.0)
    store.settle(study, reason="quiet", now=101.0)


def test_a_worker_that_died_is_started_again_works_when_woken_and_stops_when_told(settings, store, monkeypatch, caplog):
    """Killed, it is replaced by a later tick; the new one works again and again; without a node it ends by itself."""
    monkeypatch.setattr(worker_process, "_RESTART_AFTER_S", 0.0)
    process = WorkerProcess(settings, Bell(lambda: None).ringer)
    process.tick()
    [first] = workers()
    os.kill(first.pid, signal.SIGKILL)
    first.join(PATIENCE_S)
    process.tick()
    [second] = workers()
    assert second.pid != first.pid
    assert "exit code -9" in caplog.text
    for study in ("1.2.5", "1.2.6"):  # for the second it is woken: it has said that none was left
        hopeless_study(store, study)
        assert eventually(lambda: process.tick() or {each.state for each in store.studies()} == {JobState.HELD}, 30.0)
    assert workers() == [second]
    process.stop(grace_s=PATIENCE_S)
    assert second.exitcode == 0
    assert workers() == []


def test_a_worker_that_dies_at_once_is_not_started_over_and_over(settings):
    """The next start waits."""
    process = WorkerProcess(settings, Bell(lambda: None).ringer)
    process.tick()
    [first] = workers()
    os.kill(first.pid, signal.SIGKILL)
    first.join(PATIENCE_S)
    process.tick()
    assert workers() == []
    process.stop(grace_s=1.0)


def test_a_worker_that_does_not_end_in_time_is_ended(settings, caplog):
    """The node must be able to stop in the middle of a study; afterwards there is nothing left to stop."""
    process = WorkerProcess(settings, Bell(lambda: None).ringer)
    process.tick()
    [child] = workers()
    process.stop(grace_s=0.0)
    assert child.exitcode == -signal.SIGKILL
    assert "taken up again at the next start" in caplog.text
    process.stop(grace_s=0.0)
    assert workers() == []


def test_stopping_a_worker_that_was_never_needed_is_harmless(settings):
    """As when a node stops before its first tick."""
    WorkerProcess(settings, Bell(lambda: None).ringer).stop(grace_s=0.0)
