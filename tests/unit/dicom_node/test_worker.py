"""The worker records what comes of every study, and no study stops the next."""

import datetime
import logging
import re
import threading
from pathlib import Path

import pytest

from dicom_node import worker as worker_module
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import MAXIMUM_ATTEMPTS, Job, JobState
from dicom_node.domain.refusal import Refusal
from dicom_node.domain.study import Instance, InstanceKind
from dicom_node.pipeline import AnalysedStudy
from dicom_node.reader import LoadedStudy
from dicom_node.results import Addressed
from dicom_node.spool import Spool
from dicom_node.summary import StudySummary
from dicom_node.worker import LEASE_S, Worker
from inference.findings import Analysis, Exclusion
from tests.builders.analyses import EQUIPMENT, analysis_of, classified, encode, headers_of
from tests.builders.datasets import mr_series

SERIES = mr_series()
STUDY = str(SERIES[0].StudyInstanceUID)


class Clock:
    """A time that only tests move."""

    now = 1000.0

    def __call__(self):
        """Seconds since the epoch."""
        return self.now


@pytest.fixture
def clock():
    """Stands still."""
    return Clock()


def settled(store, study=STUDY, now=900.0):
    """A study of one image that waits for a worker."""
    instance = Instance(f"{study}.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1", f"{study}.2", study,
                        InstanceKind.IMAGE, Path(f"/spool/{study}.dcm"), 10, "d")  # fmt: skip
    store.record_instance(instance, calling_ae="PACS", now=now)
    store.settle(study, reason="quiet", now=now + 1)


def analysed(when, peers=("PACS",)):
    """A report about nothing but an MR series."""
    analysis = analysis_of(SERIES, classified("modality", "mr"))
    headers = headers_of(*SERIES)
    objects = tuple(Addressed(each, peers) for each in encode(analysis, headers, EQUIPMENT, when))
    return AnalysedStudy(analysis, objects, LoadedStudy((), (), headers))


def worker_of(store, tmp_path, clock, analyse):
    """A worker called w1."""
    return Worker("w1", store, Spool(tmp_path, minimum_free_bytes=0), analyse, clock)


def test_results_are_on_disk_before_they_are_due(store, tmp_path, clock):
    """The job delivers; each result is a file and a delivery, the summary can be read back."""
    asked = []

    def analyse(study, paths, when, earlier):
        asked.append((study, paths, when))
        return analysed(when)

    settled(store)
    assert worker_of(store, tmp_path, clock, analyse).take_one()
    [(study, paths, when)] = asked
    assert (study, paths) == (STUDY, [Path(f"/spool/{STUDY}.dcm")])
    assert when == datetime.datetime.fromtimestamp(1000, datetime.UTC)
    [status] = store.studies()
    assert (status.state, status.outcome) == (JobState.DELIVERING, "complete")
    assert StudySummary.model_validate_json(status.summary).seen == "mr (0.97)"
    [delivery] = store.due(now=1000.0)
    assert delivery.path.is_file()
    assert delivery.path.stem == delivery.sop_instance_uid


def test_own_results_that_came_back_are_not_looked_at(store, tmp_path, clock):
    """Neither as images nor as exclusions: a repeated analysis makes the same objects as the first."""
    asked = []

    def analyse(_study, paths, when, _earlier):
        asked.extend(paths)
        return analysed(when)

    own = Instance("2.25.1", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.1.2.1", "2.25.2", STUDY,
                   InstanceKind.OWN_RESULT, Path("/spool/own.dcm"), 10, "d")  # fmt: skip
    store.record_instance(own, calling_ae="PACS", now=890.0)
    settled(store)
    worker_of(store, tmp_path, clock, analyse).take_one()
    assert asked == [Path(f"/spool/{STUDY}.dcm")]


def test_what_is_made_anew_for_one_peer_touches_nothing_of_the_others(store, tmp_path, clock):
    """An object that only others get is not even written again: it may be on its way at this moment."""
    settled(store)
    first = worker_of(store, tmp_path, clock, lambda _s, _p, when, _e: analysed(when, ("PACS", "ARCHIVE")))
    assert first.take_one()
    [to_pacs, to_archive] = store.due(now=1000.0)
    store.replace(to_pacs.job_id, "PACS", [Refusal("1.2", "no", "another")], now=1000.0)
    clock.now += 60.0

    def analyse(_study, _paths, when, _earlier):
        """Only the archive gets the ordinary report."""
        return analysed(when, ("ARCHIVE",))

    before = to_archive.path.read_bytes()
    assert worker_of(store, tmp_path, clock, analyse).take_one()
    assert to_archive.path.read_bytes() == before
    assert [each.peer for each in store.due(now=2000.0)] == ["ARCHIVE"]


def test_without_work_it_says_so(store, tmp_path, clock):
    """Nothing waits, nothing is taken."""
    assert not worker_of(store, tmp_path, clock, lambda *_: None).take_one()


class FullDisk(Spool):
    """Has no room until it is made."""

    room = False

    def why_no_room(self):
        """Until then."""
        return None if self.room else "disk full: make room"


def test_without_room_jobs_wait_and_lose_no_attempt(store, tmp_path, clock, caplog):
    """It is told once; when there is room again they go on by themselves."""
    settled(store)
    disk = FullDisk(tmp_path, minimum_free_bytes=0)
    worker = Worker("w1", store, disk, lambda _s, _p, when, _e: analysed(when), clock)
    assert [worker.take_one() for _ in range(3)] == [False] * 3
    assert caplog.text.count("No study is analysed now: disk full: make room") == 1
    assert store.studies()[0].attempt == 0
    disk.room = True
    assert worker.take_one()
    assert store.studies()[0].state == JobState.DELIVERING


def test_a_database_that_refuses_ends_no_worker(store, tmp_path, clock, caplog, monkeypatch):
    """While it claims, while it gives up: what it says is told, and the next job is tried when it answers again."""

    def full(*_arguments, **_names):
        raise StoreError("node.db: database or disk is full; make room on its disk")

    settled(store)
    worker = worker_of(store, tmp_path, clock, full)
    with monkeypatch.context() as patched:
        patched.setattr(store, "claim", full)
        assert not worker.take_one()
    with monkeypatch.context() as patched:
        patched.setattr(store, "give_up", full)
        assert worker.take_one()
    assert "make room on its disk" in caplog.text
    assert store.studies()[0].state == JobState.RUNNING
    clock.now += LEASE_S + 1
    worker = worker_of(store, tmp_path, clock, lambda _s, _p, when, _e: analysed(when))
    assert worker.take_one()
    assert store.studies()[0].state == JobState.DELIVERING


def test_nobody_to_send_to_is_done(store, tmp_path, clock):
    """The results stay in their folder."""
    settled(store)
    worker_of(store, tmp_path, clock, lambda _s, _p, when, _e: analysed(when, ())).take_one()
    assert store.studies()[0].state == JobState.DONE


def test_an_analysis_that_breaks_is_tried_again_and_then_fails(store, tmp_path, clock, caplog):
    """Its reason names type and place; what the error says, which may be a patient's name, is nowhere."""
    settled(store, "1.2.66")
    settled(store, "1.2.77", now=950.0)

    def analyse(study, _paths, when, _earlier):
        if study == "1.2.66":
            raise ValueError("Doe^Jane")
        return analysed(when)

    worker = worker_of(store, tmp_path, clock, analyse)
    with caplog.at_level(logging.DEBUG):
        while worker.take_one():
            pass
    broken, sound = (next(each for each in store.studies() if each.study_instance_uid == uid)
                     for uid in ("1.2.66", "1.2.77"))  # fmt: skip
    assert (broken.state, broken.attempt) == (JobState.FAILED, MAXIMUM_ATTEMPTS)
    assert "ValueError at test_worker.py:" in broken.reason
    assert sound.state == JobState.DELIVERING
    assert "Doe" not in caplog.text + broken.reason
    assert re.search(r"\bworker\.py:\d+ > test_worker\.py:\d+", caplog.text)


def test_a_study_without_a_readable_image_is_held(store, tmp_path, clock):
    """There is nobody to report about: a person is told why."""
    exclusion = Exclusion("1.2.3.4", "", "", "is in a study of several patients")
    settled(store)
    nothing = AnalysedStudy(Analysis(STUDY, (), (exclusion,)), (), LoadedStudy((), (exclusion,), {}))
    worker_of(store, tmp_path, clock, lambda *_: nothing).take_one()
    [status] = store.studies()
    assert status.state == JobState.HELD
    assert "is in a study of several patients" in status.reason
    assert store.due(now=clock.now) == ()


def test_a_study_whose_files_are_gone_is_held(store, tmp_path, clock):
    """Even without a reason of its own the person is told one."""
    settled(store)
    nothing = AnalysedStudy(Analysis(STUDY), (), LoadedStudy((), (), {}))
    worker_of(store, tmp_path, clock, lambda *_: nothing).take_one()
    [status] = store.studies()
    assert (status.state, status.reason) == (JobState.HELD, "no report can be made: every instance is missing")


def test_a_study_another_worker_has_is_not_held(store, tmp_path, clock, caplog):
    """The log says so, too."""
    settled(store)

    def slow(*_):
        clock.now += LEASE_S + 1
        store.claim("w2", now=clock.now, lease_s=LEASE_S)
        return AnalysedStudy(Analysis(STUDY), (), LoadedStudy((), (), {}))

    worker_of(store, tmp_path, clock, slow).take_one()
    assert store.studies()[0].state == JobState.RUNNING
    assert [record.action for record in caplog.records] == ["job_lost"]


def test_results_of_a_lost_lease_are_dropped(store, tmp_path, clock, caplog):
    """Another worker has taken the job over meanwhile: only one of the two may record."""
    settled(store)

    def slow(_study, _paths, when, _earlier):
        clock.now += LEASE_S + 1
        assert store.claim("w2", now=clock.now, lease_s=LEASE_S) is not None
        return analysed(when)

    with caplog.at_level(logging.INFO):
        worker_of(store, tmp_path, clock, slow).take_one()
    [status] = store.studies()
    assert (status.state, status.outcome, status.deliveries) == (JobState.RUNNING, None, ())
    assert "another worker has taken the job over" in caplog.text


def test_a_sign_of_life_prolongs_the_lease(store, tmp_path, clock):
    """An analysis that takes longer than the lease keeps its job, as long as it shows that it lives."""
    settled(store)

    def slow(_study, _paths, when, _earlier):
        for _ in range(3):
            clock.now += LEASE_S * 0.9
            worker._heartbeat(job_id=1)
            assert store.claim("w2", now=clock.now, lease_s=LEASE_S) is None
        return analysed(when)

    worker = worker_of(store, tmp_path, clock, slow)
    worker.take_one()
    assert store.studies()[0].state == JobState.DELIVERING


class PulseStore:
    """Only notes signs of life; it has one job, which is a study's first."""

    def __init__(self):
        self.beaten = threading.Event()
        self.beats = []
        self.given_up = []

    def claim(self, _worker, *, now, lease_s):
        """The job."""
        return Job(7, STUDY, JobState.RUNNING, 1, "quiet", now - lease_s)

    def instances(self, _study):
        """None is needed."""
        return ()

    def earlier_reports(self, _study, *, before_job):
        """There is none."""
        assert before_job == 7
        return ()

    def heartbeat(self, job_id, worker, *, now, lease_s):
        """Note it."""
        self.beats.append((job_id, worker, now, lease_s))
        self.beaten.set()
        return True

    def give_up(self, _job_id, _worker, *, reason, now):
        """Note it."""
        self.given_up.append((reason, now))
        return JobState.READY


def test_signs_of_life_are_given_while_an_analysis_runs_and_no_longer(tmp_path, clock, monkeypatch):
    """By themselves, four in a lease; they end with the analysis, even with one that breaks."""
    monkeypatch.setattr(worker_module, "LEASE_S", 0.04)
    store = PulseStore()

    def slow(*_):
        assert store.beaten.wait(30)
        raise ValueError

    worker_of(store, tmp_path, clock, slow).take_one()
    assert store.beats[0] == (7, "w1", 1000.0, 0.04)
    [(reason, _)] = store.given_up
    assert "ValueError" in reason
    assert [thread for thread in threading.enumerate() if "APScheduler" in thread.name] == []
