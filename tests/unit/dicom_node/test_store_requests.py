"""What a person may ask of the store: that a study goes on, is sent or made again, or goes away."""

import hashlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.delivery import TRANSITIONS, DeliveryState, may_follow
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import MAXIMUM_ATTEMPTS, JobState
from dicom_node.domain.status import LeftAlone
from dicom_node.domain.study import ConflictingObject, InstanceKind
from dicom_node.store import Receipt, Store
from dicom_node.store.statements import script_statements, sql_text
from dicom_node.store.store import MIGRATIONS
from tests.builders.studies import (
    ANALYSED,
    LEASE_S,
    OTHER,
    STUDY,
    claimed,
    delivering,
    going,
    instance,
    receive,
    result,
)

DIGEST = f"sha256:{hashlib.sha256(STUDY.encode()).hexdigest()}"
TABLES = ("instance", "conflict", "job", "result", "delivery", "event", "prior")


@pytest.fixture
def path(tmp_path):
    """A database that does not exist yet."""
    return tmp_path / "node.db"


@pytest.fixture
def store(path):
    """A store of its own."""
    store = Store.open(path)
    yield store
    store.close()


class Discarded(list):
    """What was to be taken from disk."""

    def __call__(self, study, conflicts):
        """Note it."""
        self.append((study, tuple(conflicts)))


def held(store):
    """A study that waits for a person."""
    job = claimed(store)
    store.hold(job.job_id, "w1", reason="two patients", now=210.0)


def failed(store):
    """A study whose analysis broke off once too often."""
    job = claimed(store)
    while store.give_up(job.job_id, "w1", reason="broken", now=210.0) is JobState.READY:
        job = store.claim("w1", now=211.0, lease_s=LEASE_S)


def done(store, *modalities, peers=("PACS",), study=STUDY):
    """A study whose results have arrived."""
    delivering(store, *modalities, peers=peers, study=study)
    for delivery in store.due(now=220.0):
        store.sent(delivery.delivery_id, status=0, now=221.0)


def partly_dead(store):
    """A study whose SEG arrived at two peers, and whose SR is dead at one."""
    delivering(store, "SEG", "SR", peers=("PACS", "ARC"))
    for delivery in store.due(now=220.0):
        if delivery.peer == "ARC" and delivery.path.stem == "SR1":
            store.dead(delivery.delivery_id, reason="not ours", now=221.0)
        else:
            store.sent(delivery.delivery_id, status=0, now=221.0)


def fates(store, study=STUDY):
    """Peer, modality and state of each delivery of the newest job."""
    return [(each.peer, each.modality, each.state) for each in store.history(study).study.deliveries]


def state(store, study=STUDY):
    """How the study stands."""
    return store.history(study).study.state


def rows(path, sql):
    """Rows of the file itself."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("end", [held, failed])
def test_retry_lets_a_study_go_on_with_all_its_attempts(store, end):
    """It is claimed again, may fail as often as a new one, and the second request finds nothing to do."""
    end(store)
    assert store.retry(STUDY, now=300.0).changed
    assert (state(store), store.history(STUDY).study.finished_at) == (JobState.READY, None)
    before = store.history(STUDY)
    assert store.retry(STUDY, now=301.0).told == "the study is ready; nothing to do"
    assert store.history(STUDY) == before
    assert (before.events[-1].action, before.events[-1].reason) == ("ready", "to be tried again, by request")
    attempts = 0
    while (job := store.claim("w2", now=310.0, lease_s=LEASE_S)) is not None:
        attempts = job.attempt
        store.give_up(job.job_id, "w2", reason="broken", now=311.0)
    assert attempts == MAXIMUM_ATTEMPTS


def test_retry_of_a_study_that_was_analysed_names_the_command_that_helps(store):
    """Its results are there; what failed is their delivery."""
    partly_dead(store)
    before = store.history(STUDY)
    with pytest.raises(StoreError, match=r"1 of 4 deliveries are dead.*dicom-node resend"):
        store.retry(STUDY, now=300.0)
    assert store.history(STUDY) == before


def test_resend_takes_the_dead_ones_only(store):
    """They begin anew, the job delivers again and ends done; what arrived is not sent twice."""
    partly_dead(store)
    reply = store.resend(STUDY, peer=None, everything=False, now=300.0)
    assert (reply.changed, reply.told) == (True, "1 of 4 deliveries are to be sent again")
    assert state(store) == JobState.DELIVERING
    [delivery] = store.due(now=300.0)
    assert (delivery.peer, delivery.path.stem, delivery.attempt, delivery.failing_since) == ("ARC", "SR1", 1, None)
    assert [event.action for event in store.events(STUDY)[-2:]] == ["pending", "delivering"]
    before = store.history(STUDY)
    assert not store.resend(STUDY, peer=None, everything=False, now=301.0).changed
    assert store.history(STUDY) == before
    store.sent(delivery.delivery_id, status=0, now=302.0)
    assert state(store) == JobState.DONE
    assert {fate for _, _, fate in fates(store)} == {DeliveryState.SENT}


def test_resend_to_one_peer_leaves_the_others(store):
    """The job fails again at the end, as long as another delivery is dead."""
    delivering(store, "SR", peers=("PACS", "ARC"))
    for delivery in store.due(now=220.0):
        store.dead(delivery.delivery_id, reason="no", now=221.0)
    assert store.resend(STUDY, peer="ARC", everything=False, now=300.0).changed
    assert fates(store) == [("PACS", "SR", DeliveryState.DEAD), ("ARC", "SR", DeliveryState.PENDING)]
    [delivery] = store.due(now=300.0)
    store.sent(delivery.delivery_id, status=0, now=301.0)
    assert state(store) == JobState.FAILED


def test_resend_of_everything_sends_what_arrived_as_well(store):
    """As when an archive was lost; in sending order, and what is pending goes on as it is."""
    done(store, "SEG", "SR")
    assert not store.resend(STUDY, peer=None, everything=False, now=300.0).changed
    assert store.resend(STUDY, peer=None, everything=True, now=300.0).changed
    due = store.due(now=300.0)
    assert [delivery.path.stem for delivery in due] == ["SEG1", "SR1"]
    store.postpone(due[0].delivery_id, reason="busy", due_at=400.0, now=301.0)
    assert not store.resend(STUDY, peer=None, everything=True, now=302.0).changed
    assert store.due(now=302.0) == ()


def test_resend_reaches_earlier_jobs_and_disturbs_no_later_one(store):
    """A dead report of the first job is sent again, though the study is being received again."""
    partly_dead(store)
    receive(store, 2, now=290.0)
    assert store.resend(STUDY, peer=None, everything=False, now=300.0).changed
    assert [job.state for job in store.history(STUDY).jobs] == [JobState.DELIVERING, JobState.RECEIVING]


@pytest.mark.parametrize(("peer", "told"), [("MARS", "to go to MARS; its results go to PACS"), (None, "go to nobody")])
def test_resend_where_nothing_was_to_go_is_refused(store, peer, told):
    """With the peers there are."""
    if peer is None:
        done(store, peers=())
    else:
        done(store, "SR")
    with pytest.raises(StoreError, match=told):
        store.resend(STUDY, peer=peer, everything=True, now=300.0)


def test_rerun_opens_one_more_job(store):
    """On the same images; asked twice, there is one; the first job keeps its deliveries."""
    done(store, "SR")
    assert store.rerun(STUDY, now=300.0).changed
    assert store.rerun(STUDY, now=301.0).told == "the study is ready already; nothing to do"
    first, second = store.history(STUDY).jobs
    assert (first.state, second.state, second.settled_at) == (JobState.DONE, JobState.READY, 300.0)
    job = store.claim("w2", now=302.0, lease_s=LEASE_S)
    assert (job.job_id, job.attempt) == (second.job_id, 1)
    assert not store.rerun(STUDY, now=303.0).changed
    assert store.finish(job.job_id, "w2", **ANALYSED, results=going([result("SR")], ["PACS"]), now=304.0)
    assert [delivery.job_id for delivery in store.due(now=305.0)] == [second.job_id]


def test_a_study_without_images_is_not_analysed(store):
    """By no request."""
    receive(store, 1, kind=InstanceKind.NOT_AN_IMAGE)
    for ask in (store.rerun, store.retry):
        with pytest.raises(StoreError, match="no image of study"):
            ask(STUDY, now=300.0)


def test_the_beginning_of_a_uid_is_enough_where_it_is_one_study(store):
    """A whole UID is itself, though another begins with it; two candidates are named, none is told."""
    receive(store, 1, study="1.2.3")
    receive(store, 1, study="1.2.34")
    receive(store, 1, study="1.3")
    assert store.history("1.2.3").study.study_instance_uid == "1.2.3"
    assert store.history("1.3").study.study_instance_uid == "1.3"
    assert store.history("1.2.34").study.study_instance_uid == "1.2.34"
    with pytest.raises(StoreError, match=r"several studies begin with '1\.2': 1\.2\.3, 1\.2\.34"):
        store.history("1.2")
    for nothing in ("1.2.4", "", "%", "1.3:"):
        with pytest.raises(StoreError, match="nothing was received"):
            store.history(nothing)


def test_a_history_has_every_job_and_event(store):
    """Oldest first, each job with its own deliveries."""
    partly_dead(store)
    receive(store, 2, now=300.0)
    history = store.history(STUDY)
    assert history.study == store.studies()[0]
    assert [(job.state, len(job.deliveries)) for job in history.jobs] == [("failed", 4), ("receiving", 0)]
    assert history.events == store.events(STUDY)


def test_forgotten_is_forgotten(store, path):
    """Every row of the study is gone, other studies keep theirs, and one event has a digest for a name."""
    done(store, "SEG", "SR")
    store.record_instance(replace(instance(1, digest="b")), calling_ae="PACS", now=230.0)
    delivering(store, "SR", study=OTHER)
    others = store.history(OTHER)
    discard = Discarded()
    reply = store.forget(STUDY, discard=discard, now=300.0)
    assert reply.changed
    assert discard == [(STUDY, (ConflictingObject(STUDY, f"{STUDY}.3.1", "b"),))]
    assert store.history(OTHER) == others
    text = "\n".join(str(row) for table in TABLES for row in rows(path, f"SELECT * FROM {table}"))
    assert f"{STUDY}." not in text
    assert f"'{STUDY}'" not in text
    [event] = store.events(DIGEST)
    assert (event.at, event.job_id, event.action) == (300.0, None, "forgotten")
    assert event.reason.startswith("by request: 1 received objects, 2 results, 1 conflicts and 8 events")


def test_the_file_itself_forgets(path):
    """Not even its free pages have the UID, once the write-ahead log is written back."""
    study = "1.2.276.0.987654321"
    store = Store.open(path)
    done(store, "SEG", "SR", study=study)
    store.close()
    assert study.encode() in path.read_bytes()
    store = Store.open(path)
    store.forget(study, discard=Discarded(), now=300.0)
    store.close()
    assert study.encode() not in path.read_bytes()


def test_forgetting_twice_is_once(store):
    """A whole UID that was forgotten is told as such, the beginning of one and a strange one are not known."""
    done(store, "SR")
    discard = Discarded()
    store.forget(STUDY, discard=discard, now=300.0)
    again = store.forget(STUDY, discard=discard, now=301.0)
    assert (again.changed, again.told, len(discard)) == (False, "the study is forgotten already", 1)
    assert len(store.events(DIGEST)) == 1
    for unknown in ("1.2", "1.9.9"):
        with pytest.raises(StoreError, match="nothing was received"):
            store.forget(unknown, discard=discard, now=302.0)


def test_a_forgotten_study_may_come_again(store):
    """As a new one, that may be forgotten, too."""
    done(store, "SR")
    store.forget(STUDY, discard=Discarded(), now=300.0)
    assert receive(store, 1, now=310.0) is Receipt.NEW
    assert [event.action for event in store.events(STUDY)] == ["receiving"]
    assert store.forget(STUDY, discard=Discarded(), now=320.0).changed


def test_a_study_in_a_workers_hands_is_not_forgotten(store):
    """As long as the worker lives."""
    claimed(store)
    before = store.history(STUDY)
    discard = Discarded()
    with pytest.raises(StoreError, match="is being analysed by worker w1"):
        store.forget(STUDY, discard=discard, now=200.0 + LEASE_S - 1)
    assert (store.history(STUDY), discard) == (before, [])
    assert store.forget(STUDY, discard=discard, now=200.0 + LEASE_S).changed


def test_a_disk_that_refuses_keeps_every_row(store, path):
    """What cannot be taken from disk is not forgotten."""
    done(store, "SR")
    before = store.history(STUDY)

    def refuse(_study, _conflicts):
        raise StoreError("read-only")

    with pytest.raises(StoreError, match="read-only"):
        store.forget(STUDY, discard=refuse, now=300.0)
    assert store.history(STUDY) == before
    assert store.events(DIGEST) == ()


def test_an_object_in_conflict_goes_with_either_study(store, path):
    """Its row cannot stay without the instance it contradicts, nor can the event that names that instance."""
    receive(store, 1)
    receive(store, 2, study=OTHER)
    stray = replace(instance(1, digest="b"), study_instance_uid=OTHER, path=Path("/conflicts/stray.dcm"))
    store.record_instance(stray, calling_ae="PACS", now=300.0)
    discard = Discarded()
    store.forget(STUDY, discard=discard, now=301.0)
    assert discard == [(STUDY, (ConflictingObject(OTHER, f"{STUDY}.3.1", "b"),))]
    assert rows(path, "SELECT * FROM conflict") == []
    assert [event.action for event in store.events(OTHER)] == ["receiving"]


def test_an_answer_for_a_forgotten_delivery_meets_no_other(store):
    """Its number is never used again, so a late answer cannot mark another study's result as sent."""
    delivering(store, "SR")
    [delivery] = store.due(now=220.0)
    store.forget(STUDY, discard=Discarded(), now=221.0)
    delivering(store, "SR", study=OTHER)
    with pytest.raises(StoreError, match="does not exist"):
        store.sent(delivery.delivery_id, status=0, now=222.0)
    assert [each.delivery_id > delivery.delivery_id for each in store.due(now=222.0)] == [True]


def test_only_studies_done_with_are_left_alone(store):
    """Not one that is received, ready, run, held, failed, on its way or dead, in any of its jobs; oldest first."""
    done(store, "SR", study="1.5.2")
    receive(store, 1, study="1.5.1", kind=InstanceKind.NOT_AN_IMAGE, now=500.0)
    assert [study.study_instance_uid for study in store.left_alone()] == ["1.5.2", "1.5.1"]
    assert store.left_alone() == (LeftAlone("1.5.2", 210.0), LeftAlone("1.5.1", 500.0))
    for end in (
        held,
        failed,
        partly_dead,
        claimed,
        lambda store: delivering(store, "SR"),
        lambda store: receive(store, 1),
    ):
        end(store)
        assert [study.study_instance_uid for study in store.left_alone()] == ["1.5.2", "1.5.1"]
        assert not store.expire(STUDY, why="old", discard=Discarded(), now=600.0)
        store.forget(STUDY, discard=Discarded(), now=600.0)
    receive(store, 2, study="1.5.2", now=600.0)
    assert [study.study_instance_uid for study in store.left_alone()] == ["1.5.1"]


def test_a_job_that_failed_before_a_later_one_succeeded_keeps_no_study(store):
    """The later one saw all images; a dead delivery of the first one does keep it, until it is sent again."""
    held(store)
    assert store.left_alone() == ()
    store.rerun(STUDY, now=300.0)
    job = store.claim("w2", now=301.0, lease_s=LEASE_S)
    assert store.finish(job.job_id, "w2", **ANALYSED, results=going([result("SR")], ["PACS"]), now=302.0)
    [delivery] = store.due(now=303.0)
    store.dead(delivery.delivery_id, reason="no", now=304.0)
    store.rerun(STUDY, now=310.0)
    job = store.claim("w2", now=311.0, lease_s=LEASE_S)
    assert store.finish(job.job_id, "w2", **ANALYSED, results=[], now=312.0)
    assert [job.state for job in store.history(STUDY).jobs] == ["held", "failed", "done"]
    assert store.left_alone() == ()
    store.resend(STUDY, peer=None, everything=False, now=320.0)
    store.sent(delivery.delivery_id, status=0, now=321.0)
    assert store.left_alone() == (LeftAlone(STUDY, 312.0),)


def test_an_expired_study_leaves_a_count(store):
    """As a forgotten one, with the reason of its end."""
    done(store, "SR")
    discard = Discarded()
    assert store.expire(STUDY, why="older than 31 days", discard=discard, now=900.0)
    assert not store.expire(STUDY, why="older than 31 days", discard=discard, now=901.0)
    [event] = store.events(DIGEST)
    assert (event.action, event.reason.partition(":")[0]) == ("expired", "older than 31 days")
    assert [study for study, _ in discard] == [STUDY]


@pytest.mark.parametrize("now", list(DeliveryState))
@pytest.mark.parametrize("then", [DeliveryState.SENT, DeliveryState.DEAD, DeliveryState.PENDING])
def test_the_store_holds_deliveries_to_their_table(store, path, now, then):
    """Every pair: a step that is in the table is made, any other is refused and leaves no trace."""
    delivering(store, "SR", "SEG")
    delivery = store.due(now=220.0)[0]
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE delivery SET state = ?, status = 0, reason = 'x' WHERE delivery_id = ?", (now, delivery.delivery_id)
    )
    connection.commit()
    connection.close()
    steps = {
        DeliveryState.SENT: lambda: store.sent(delivery.delivery_id, status=0, now=300.0),
        DeliveryState.DEAD: lambda: store.dead(delivery.delivery_id, reason="no", now=300.0),
        DeliveryState.PENDING: lambda: store.resend(STUDY, peer=None, everything=True, now=300.0),
    }
    before = fates(store)[0][2]
    if then is DeliveryState.PENDING:
        steps[then]()
        assert fates(store)[0][2] is DeliveryState.PENDING
    elif may_follow(now, then):
        steps[then]()
        assert fates(store)[0][2] is then
    else:
        with pytest.raises(StoreError, match=f"is {now} already and cannot become {then}"):
            steps[then]()
        assert fates(store)[0][2] is before


def test_every_state_has_its_row_and_none_is_a_dead_end():
    """A person may have anything sent again."""
    assert TRANSITIONS.keys() == set(DeliveryState)
    assert all(
        DeliveryState.PENDING in after for state, after in TRANSITIONS.items() if state is not DeliveryState.PENDING
    )


@pytest.mark.parametrize("wrong", ["state = 'lost'", "state = 'sent'", "state = 'dead'"])
def test_the_schema_refuses_what_cannot_be(store, path, wrong):
    """A state that is none, an arrival without a status, a death without a reason."""
    delivering(store, "SR")
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        connection.execute(f"UPDATE delivery SET {wrong}")
    connection.close()


def test_a_database_of_the_first_version_is_brought_up_to_date(path):
    """Deliveries keep their numbers, states and times; the tables refer to each other as before."""
    connection = sqlite3.connect(path)
    for statement in script_statements(sql_text("schema.sql")):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO job (job_id, study_instance_uid, state, reason, opened_at, last_image_at, finished_at)"
        " VALUES (4, '1.2', 'delivering', '', 1, 1, 2)"
    )
    connection.execute("INSERT INTO instance VALUES ('1.2.1','1.2','1.2.3','c','t','image','/x',1,'d','PACS',1)")
    for number, condition in enumerate(("'pending', 3, 'busy', NULL", "'sent', 1, '', 0", "'dead', 1, 'no', NULL")):
        connection.execute("INSERT INTO result VALUES (?, 4, '/r', 'SR', 'c', ?, 's')", (number, str(number)))
        connection.execute(
            "INSERT INTO delivery (delivery_id, job_id, result_id, peer, state, attempt, reason, status, due_at)"
            f" VALUES (?, 4, ?, 'PACS', {condition}, 7)",
            (10 + number, number),
        )
    connection.commit()
    connection.close()
    store = Store.open(path)
    assert [(each.delivery_id, each.attempt, each.failing_since) for each in store.due(now=8.0)] == [(10, 3, None)]
    assert [fate for _, _, fate in fates(store, "1.2")] == ["pending", "sent", "dead"]
    store.postpone(10, reason="busy", due_at=9.0, now=8.0)
    assert store.due(now=9.0)[0].failing_since == 8.0
    store.close()
    assert rows(path, "PRAGMA foreign_key_check") == []
    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert len(rows(path, "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'delivery'")) == 5
