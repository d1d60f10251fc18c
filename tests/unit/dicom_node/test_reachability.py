"""Breakers in the database, and what they mean for the deliveries that wait."""

import json
from dataclasses import replace

import pytest

from dicom_node.destination_tables import destinations_json
from dicom_node.domain.breaker import CLOSED, Breaker
from dicom_node.domain.status import DestinationStatus
from dicom_node.store import Store
from tests.builders.studies import OTHER, STUDY, delivering

NEARLY = Breaker(failures=2, since=300.0, reason="no connection")
OPEN = Breaker(failures=3, since=300.0, reason="no connection", next_try_at=330.0)


@pytest.fixture
def path(tmp_path):
    """A database that does not exist yet."""
    return tmp_path / "node.db"


@pytest.fixture
def store(path):
    """Two studies on their way to two peers."""
    store = Store.open(path)
    delivering(store, "SEG", "SR", peers=("PACS", "ARCHIVE"))
    delivering(store, "SR", peers=("PACS",), study=OTHER)
    yield store
    store.close()


def test_a_breaker_survives_the_node(store, path):
    """As it was noted last, for its peer alone; gone with the first answer."""
    store.peer_fails("PACS", NEARLY, now=310.0)
    store.peer_fails("PACS", OPEN, now=320.0)
    other = Store.open(path)
    assert (other.breaker("PACS"), other.breaker("ARCHIVE")) == (OPEN, CLOSED)
    other.close()
    store.peer_answers("PACS", now=330.0)
    assert store.breaker("PACS") == CLOSED


def test_while_it_is_open_all_that_waits_is_failing_together(store):
    """From the first failure on, the time of one that failed before stays; no try of its own is counted."""
    first = next(each for each in store.due(now=300.0) if each.peer == "PACS")
    store.postpone(first.delivery_id, reason="it hung up", due_at=302.0, now=300.0)
    assert store.peer_fails("PACS", NEARLY, now=310.0) == 3
    assert [each.failing_since for each in store.due(now=320.0)] == [300.0, None, None, None, None]
    assert store.peer_fails("PACS", OPEN, now=320.0) == 3
    due = {each.delivery_id: each for each in store.due(now=320.0)}
    of_pacs = [each for each in due.values() if each.peer == "PACS"]
    assert [each.failing_since for each in of_pacs] == [300.0, 320.0, 320.0]
    assert [each.attempt for each in of_pacs] == [2, 1, 1]
    assert {each.failing_since for each in due.values() if each.peer == "ARCHIVE"} == {None}


def test_a_study_tells_once_why_it_waits(store):
    """One event for a job, however many objects and probes."""
    for now in (320.0, 330.0, 350.0):
        store.peer_fails("PACS", OPEN, now=now)
    told = [event for event in store.events(STUDY) if event.action == "postponed"]
    assert [(event.at, event.reason) for event in told] == [(320.0, "2 objects to PACS: no connection")]
    assert {each.reason for each in store.studies()[0].deliveries if each.peer == "PACS"} == {"no connection"}


def test_with_the_first_answer_everything_is_due(store):
    """Also what was put off for long before; what waits for another peer is not."""
    for delivery in store.due(now=300.0):
        store.postpone(delivery.delivery_id, reason="full", due_at=900.0, now=300.0)
    store.peer_fails("PACS", OPEN, now=320.0)
    assert store.peer_answers("PACS", now=330.0) == 3
    assert {each.peer for each in store.due(now=330.0)} == {"PACS"}
    assert len(store.due(now=330.0)) == 3


def test_who_has_results_sent_again_does_not_wait_for_the_probe(store):
    """The peer is tried at once, and not only when its time comes; others keep theirs."""
    store.peer_fails("PACS", OPEN, now=320.0)
    store.peer_fails("ARCHIVE", OPEN, now=320.0)
    store.dead(store.due(now=320.0)[0].delivery_id, reason="too old", now=320.0)
    store.resend(STUDY, peer=None, everything=False, now=325.0)
    assert store.breaker("PACS") == replace(OPEN, next_try_at=325.0)
    assert store.breaker("ARCHIVE") == OPEN


def test_each_destination_tells_how_it_stands(store):
    """Waiting, since when, why, and when next; one that answers and has nothing to get is not there."""
    store.peer_fails("PACS", OPEN, now=320.0)
    assert store.destinations(now=400.0) == (
        DestinationStatus("ARCHIVE", 2, None, "", 210.0),
        DestinationStatus("PACS", 3, 300.0, "no connection", 330.0),
    )
    for delivery in store.due(now=400.0):
        store.sent(delivery.delivery_id, status=0, now=400.0)
    store.peer_answers("PACS", now=400.0)
    assert store.destinations(now=400.0) == ()


def test_times_are_told_to_machines_as_text():
    """ISO 8601, UTC; null where there is none."""
    [record] = json.loads(destinations_json([DestinationStatus("PACS", 3, 300.0, "no connection", None)]))
    assert record["unreachable_since"] == "1970-01-01T00:05:00.000+00:00"
    assert record["next_try_at"] is None
