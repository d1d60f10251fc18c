"""What the store tells the settling decision of senders, and whose turn it is."""

import sqlite3

import pytest

from dicom_node.domain.study import InstanceKind, Sender
from dicom_node.domain.urgency import MOST_OVERTAKEN, Urgency
from dicom_node.store import Store
from dicom_node.store.statements import script_statements, sql_text
from tests.builders.studies import LEASE_S, OTHER, STUDY, delivering, instance, receive

LOW, ROUTINE, URGENT = Urgency


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


def ready(store, study, urgency=ROUTINE, now=100.0):
    """A study that waits for a worker since then."""
    receive(store, 1, study=study, urgency=urgency, now=now)
    store.settle(study, reason="quiet", now=now)


def claim(store, now=1000.0):
    """The study that is claimed next; None when none waits. Its analysis ends at once."""
    job = store.claim("w", now=now, lease_s=LEASE_S)
    if job is None:
        return None
    store.hold(job.job_id, "w", reason="done with", now=now)
    return job.study_instance_uid


def test_senders_are_those_of_images(store):
    """With all they have sent but what this node made; who sent no image is none."""
    receive(store, 1, 2, calling_ae="PACS")
    receive(store, 3, calling_ae="PACS", kind=InstanceKind.NOT_AN_IMAGE)
    receive(store, 4, calling_ae="PACS", kind=InstanceKind.OWN_RESULT)
    receive(store, 5, calling_ae="MR1")
    receive(store, 6, calling_ae="RIS", kind=InstanceKind.NOT_AN_IMAGE)
    receive(store, 1, calling_ae="MR1")  # again
    receive(store, 1, study=OTHER, calling_ae="MR2")
    first, other = store.receiving()
    assert first.senders == (Sender("MR1", 1), Sender("PACS", 3))
    assert other.senders == (Sender("MR2", 1),)


def test_own_objects_are_results_made_or_come_back(store):
    """Of this study."""
    receive(store, 1, study=OTHER)
    receive(store, 2, study=OTHER, kind=InstanceKind.NOT_AN_IMAGE)
    assert not store.has_own_objects(STUDY)
    delivering(store, "SR")
    assert store.has_own_objects(STUDY)
    assert not store.has_own_objects(OTHER)
    receive(store, 8, study=OTHER, kind=InstanceKind.OWN_RESULT)
    assert store.has_own_objects(OTHER)


def test_what_a_study_waits_for_is_told_while_it_is_received(store):
    """It is no step, and no event; afterwards nothing changes it."""
    receive(store, 1)
    for _ in range(2):
        store.note_waiting(STUDY, reason="1 of 2 instances that PACS holds")
    assert store.studies()[0].reason == "1 of 2 instances that PACS holds"
    assert len(store.events(STUDY)) == 1
    store.settle(STUDY, reason="quiet", now=110.0)
    store.note_waiting(STUDY, reason="1 of 2 instances that PACS holds")
    assert store.studies()[0].reason == "quiet"


def test_a_study_is_as_urgent_as_its_most_urgent_image(store):
    """Whatever the order; other objects do not count."""
    receive(store, 1, urgency=LOW)
    assert store.receiving()[0].urgency is LOW
    receive(store, 2, urgency=URGENT, kind=InstanceKind.NOT_AN_IMAGE)
    assert store.receiving()[0].urgency is LOW
    for number, urgency in ((3, URGENT), (4, ROUTINE)):
        receive(store, number, urgency=urgency)
        assert store.receiving()[0].urgency is URGENT
    assert store.studies()[0].urgency is URGENT
    assert store.instances(STUDY)[0] == instance(1, urgency=LOW)


def test_later_jobs_are_as_urgent_as_the_study(store):
    """One of a late image, and one that a person asks for."""
    ready(store, STUDY, URGENT)
    assert claim(store) == STUDY
    receive(store, 2, urgency=LOW, now=400.0)
    assert store.receiving()[0].urgency is URGENT
    store.settle(STUDY, reason="quiet", now=410.0)
    assert claim(store) == STUDY
    assert store.rerun(STUDY, now=500.0).changed
    assert [job.urgency for job in store.history(STUDY).jobs] == [URGENT] * 3


def test_a_late_image_makes_a_waiting_study_urgent(store):
    """It goes back to receiving, and its turn comes before the others'."""
    ready(store, OTHER, now=100.0)
    ready(store, STUDY, now=200.0)
    receive(store, 2, urgency=URGENT, now=300.0)
    assert [activity.study_instance_uid for activity in store.receiving()] == [STUDY]
    store.settle(STUDY, reason="quiet", now=310.0)
    assert [claim(store), claim(store)] == [STUDY, OTHER]


def test_the_most_urgent_is_received_and_claimed_first(store):
    """Of several the oldest."""
    waiting = (("1.1", LOW), ("1.2", ROUTINE), ("1.3", URGENT), ("1.4", ROUTINE), ("1.5", URGENT))
    for number, (study, urgency) in enumerate(waiting):
        receive(store, 1, study=study, urgency=urgency, now=100.0 + number)
    order = [activity.study_instance_uid for activity in store.receiving()]
    assert order == ["1.3", "1.5", "1.2", "1.4", "1.1"]
    for number, (study, _) in enumerate(waiting):
        store.settle(study, reason="quiet", now=200.0 + number)
    assert [claim(store) for _ in range(6)] == ["1.3", "1.5", "1.2", "1.4", "1.1", None]


def test_none_waits_for_ever(store):
    """Under a stream of urgent studies the one that waits longest is overtaken four times, then the next."""
    for study in ("1.1", "1.2"):
        ready(store, study, LOW, now=100.0)
    claimed = []
    for number in range(2 * MOST_OVERTAKEN + 2):
        ready(store, f"2.{number}", URGENT, now=200.0 + number)
        claimed.append(claim(store))
    assert [study for study in claimed if study.startswith("1.")] == ["1.1", "1.2"]
    assert claimed[MOST_OVERTAKEN] == "1.1"
    assert claimed[2 * MOST_OVERTAKEN + 1] == "1.2"


def test_a_backlog_does_not_hold_up_an_urgent_study(store):
    """However many have waited for however long, one of them at most goes before it."""
    for number in range(12):
        ready(store, f"1.{number}", now=float(number))
    for number in range(6):
        ready(store, f"2.{number}", URGENT, now=5000.0 + number)
    order = [claim(store, now=6000.0) for _ in range(8)]
    assert order == ["2.0", "2.1", "2.2", "2.3", "1.0", "2.4", "2.5", "1.1"]


def test_a_study_in_its_turn_overtakes_nobody(store):
    """Routine studies in the order of their settling leave no trace, so that none gets ahead by it later."""
    for number in range(6):
        ready(store, f"1.{number}", now=float(number))
    assert [claim(store) for _ in range(6)] == [f"1.{number}" for number in range(6)]


def test_an_older_database_is_brought_up_to_date(path):
    """What it holds is routine; only what may be is written."""
    connection = sqlite3.connect(path)
    for script in ("schema.sql", "0002_deliveries.sql", "0003_calls.sql"):
        for statement in script_statements(sql_text(script)):
            connection.execute(statement)
    connection.execute("PRAGMA user_version = 3")
    connection.execute(f"INSERT INTO instance VALUES ('1','{STUDY}','1.2.3','c','t','image','/x',1,'d','PACS',1)")
    connection.execute(
        "INSERT INTO job (job_id, study_instance_uid, state, reason, opened_at, last_image_at)"
        f" VALUES (4, '{STUDY}', 'receiving', '', 1, 1)"
    )
    connection.commit()
    store = Store.open(path)
    assert store.receiving()[0].urgency is ROUTINE
    assert store.instances(STUDY)[0].urgency is ROUTINE
    store.close()
    for table in ("instance", "job"):
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute(f"UPDATE {table} SET urgency = 'very'")
    connection.close()


def test_a_worker_sees_what_arrives_series_by_series(store):
    """Images of studies that are not settled, the most urgent study first; what is no image does not count."""
    receive(store, 1, 2, now=100.0)
    receive(store, 3, now=104.0, kind=InstanceKind.NOT_AN_IMAGE)
    receive(store, 1, study=OTHER, urgency=URGENT, now=103.0)
    assert [(each.study_instance_uid, each.image_count, each.size_bytes) for each in store.series_arriving()] == [
        (OTHER, 1, 101),
        (STUDY, 2, 101 + 102),
    ]
    assert [each.last_received_at for each in store.series_arriving()] == [103.0, 101.0]
    assert not store.is_claimable()
    store.settle(OTHER, reason="quiet", now=110.0)
    assert [each.series_instance_uid for each in store.series_arriving()] == [f"{STUDY}.3"]
    assert store.is_claimable()
    store.claim("w", now=111.0, lease_s=LEASE_S)
    assert not store.is_claimable()
