"""Refusals in the database, and jobs whose results are made anew for a peer."""

import json

import pytest

from dicom_node.domain.job import MAXIMUM_ATTEMPTS, JobState
from dicom_node.domain.refusal import REMEMBERED_S, Refusal
from dicom_node.study_tables import history_json
from tests.builders.studies import ANALYSED, LEASE_S, STUDY, claimed, delivering, going, receive, result

LABEL_MAP, THREE_D = "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.88.34"
REFUSAL = Refusal(LABEL_MAP, "it takes none", "Segmentation Storage, BINARY")
OTHER_REFUSAL = Refusal(THREE_D, "nor this", "Comprehensive SR Storage")


def state(store):
    """How the study stands."""
    return store.studies()[0].state


def on_their_way(store, now=1000.0):
    """(peer, object) of all that may be sent."""
    return [(each.peer, each.path.stem) for each in store.due(now=now)]


def claim(store, worker="w2", now=400.0):
    """The job that waits, in the hands of a worker."""
    return store.claim(worker, now=now, lease_s=LEASE_S)


def finish(store, job, *modalities, worker="w2", peers=("PACS", "ARCHIVE")):
    """The worker has made these."""
    made = going([result(modality) for modality in modalities], peers)
    return store.finish(job.job_id, worker, **ANALYSED, results=made, now=410.0)


def send_all(store):
    """Everything arrives."""
    for delivery in store.due(now=1000.0):
        store.sent(delivery.delivery_id, status=0, now=1000.0)


@pytest.fixture
def refused(store):
    """A job of two peers of which one has refused the SEG, and is to get something else."""
    job = delivering(store, "SEG", "SR", "PR", peers=("PACS", "ARCHIVE"))
    store.remember("PACS", [REFUSAL], now=300.0)
    assert store.replace(job.job_id, "PACS", [REFUSAL], now=300.0)
    return job


def test_a_refusal_is_believed_for_a_day(store):
    """Then the peer may have been upgraded; one more refusal begins the day anew."""
    store.remember("PACS", [REFUSAL, OTHER_REFUSAL], now=100.0)
    store.remember("PACS", [OTHER_REFUSAL], now=200.0)
    assert store.refused_classes(now=150.0) == {"PACS": {LABEL_MAP, THREE_D}}
    assert store.refused_classes(now=100.0 + REMEMBERED_S) == {"PACS": {THREE_D}}
    assert store.refused_classes(now=200.0 + REMEMBERED_S) == {}


def test_what_is_on_its_way_to_the_peer_is_taken_back_and_the_job_made_anew(store, refused):
    """The other peer's goes on; a second time there is nothing to take back; the events say why."""
    assert on_their_way(store) == [("ARCHIVE", "SEG1"), ("ARCHIVE", "SR1"), ("ARCHIVE", "PR1")]
    assert state(store) == JobState.READY
    assert not store.replace(refused.job_id, "PACS", [REFUSAL], now=301.0)
    told = {event.action: event.reason for event in store.events(STUDY)}
    assert told["replaced"] == "SEG, SR, PR to PACS: it takes none, in its place: Segmentation Storage, BINARY"
    assert "made anew for PACS" in told["ready"]


def test_only_what_the_peer_has_not_is_sent_and_nobody_else_gets_anything(store):
    """The presentation state had arrived; what was made anew comes in its order."""
    job = delivering(store, "PR", "SEG", "SR", peers=("PACS", "ARCHIVE"))
    arrived = next(each for each in store.due(now=300.0) if each.peer == "PACS")
    store.sent(arrived.delivery_id, status=0, now=300.0)
    store.replace(job.job_id, "PACS", [REFUSAL], now=300.0)
    anew = claim(store)
    assert (anew.job_id, anew.attempt) == (job.job_id, 1)
    assert store.made_anew_for(job.job_id, "w2") == ("PACS",)
    assert finish(store, anew, "PR", "BINARY", "SR2")
    assert [each for peer, each in on_their_way(store) if peer == "PACS"] == ["BINARY1", "SR21"]
    assert [each for peer, each in on_their_way(store) if peer == "ARCHIVE"] == ["PR1", "SEG1", "SR1"]
    assert store.made_anew_for(job.job_id, "w2") == ()
    assert state(store) == JobState.DELIVERING
    send_all(store)
    assert state(store) == JobState.DONE


def test_a_job_at_the_worker_is_not_closed_by_its_last_delivery(store, refused):
    """It waits for what is being made; and is done at once when there is nothing more to send."""
    send_all(store)
    assert state(store) == JobState.READY
    anew = claim(store)
    assert finish(store, anew)
    assert state(store) == JobState.DONE


def test_what_is_refused_while_the_worker_works_is_made_after_that(store, refused):
    """The worker did not know of it when it began."""
    anew = claim(store)
    assert store.replace(refused.job_id, "ARCHIVE", [OTHER_REFUSAL], now=405.0)
    assert store.made_anew_for(refused.job_id, "w2") == ("PACS",)
    assert finish(store, anew, "BINARY", "SR")
    assert state(store) == JobState.READY
    assert on_their_way(store) == [("PACS", "BINARY1"), ("PACS", "SR1")]
    again = claim(store, "w3", now=420.0)
    assert store.made_anew_for(refused.job_id, "w3") == ("ARCHIVE",)
    assert finish(store, again, "SEG", "PLAIN", worker="w3")
    assert [each for each in on_their_way(store) if each[0] == "ARCHIVE"] == [
        ("ARCHIVE", "SEG1"),
        ("ARCHIVE", "PLAIN1"),
    ]
    assert state(store) == JobState.DELIVERING


def test_a_worker_that_dies_leaves_it_to_the_next(store, refused):
    """With all that is to be made."""
    claim(store)
    assert claim(store, "w3", now=400.0 + LEASE_S).job_id == refused.job_id
    assert store.made_anew_for(refused.job_id, "w3") == ("PACS",)


def test_what_breaks_every_time_fails_visibly_and_may_be_retried(store, refused):
    """The other peer's objects arrive, and do not make it look done."""
    for _ in range(MAXIMUM_ATTEMPTS):
        store.give_up(claim(store).job_id, "w2", reason="it broke", now=400.0)
    send_all(store)
    assert state(store) == JobState.FAILED
    assert store.retry(STUDY, now=500.0).changed
    assert finish(store, claim(store), "BINARY", "SR")
    assert on_their_way(store) == [("PACS", "BINARY1"), ("PACS", "SR1")]


def test_late_images_open_a_job_of_their_own_that_makes_it(store, refused):
    """The earlier one ends as what it sent ended, and is not analysed with images it never saw."""
    receive(store, 9, now=350.0)
    old, new = store.history(STUDY).jobs
    assert (old.state, new.state) == (JobState.DELIVERING, JobState.RECEIVING)
    assert store.history(STUDY).substitutions == ()
    send_all(store)
    assert store.history(STUDY).jobs[0].state == JobState.DONE


def test_a_job_that_is_not_the_newest_is_not_made_anew(store):
    """The newest makes everything for the peer, without what it refuses."""
    job = delivering(store, "SEG", "SR", peers=("PACS",))
    receive(store, 9, now=300.0)
    assert store.replace(job.job_id, "PACS", [REFUSAL], now=310.0)
    old, new = store.history(STUDY).jobs
    assert (old.state, new.state) == (JobState.DONE, JobState.RECEIVING)
    assert "; a later job makes it" in store.events(STUDY)[-2].reason


def test_the_study_shows_what_was_substituted(store, refused):
    """To machines as well: for whom, what, what instead, and when it was made."""
    finish(store, claim(store), "BINARY", "SR")
    [told] = json.loads(history_json(store.history(STUDY)))["substitutions"]
    assert told == {
        "job_id": refused.job_id,
        "peer": "PACS",
        "sop_class_uid": LABEL_MAP,
        "in_its_place": "Segmentation Storage, BINARY",
        "asked_at": "1970-01-01T00:05:00.000+00:00",
        "made_at": "1970-01-01T00:06:50.000+00:00",
    }


def test_a_request_to_resend_forgets_what_that_peer_refused(store):
    """And says so, once."""
    delivering(store, "SEG", peers=("PACS",))
    store.remember("PACS", [REFUSAL], now=300.0)
    store.remember("ARCHIVE", [REFUSAL], now=300.0)
    reply = store.resend(STUDY, peer=None, everything=False, now=310.0)
    assert reply.changed
    assert "PACS will be offered anew" in reply.told
    assert store.refused_classes(now=310.0) == {"ARCHIVE": {LABEL_MAP}}
    assert not store.resend(STUDY, peer=None, everything=False, now=311.0).changed


def test_what_is_sent_again_does_not_overtake_the_worker(store, refused):
    """A dead delivery of a job that is being made anew is sent, and the job stays with the worker; a failed one goes
    back to it, with all that is to be made."""
    first = store.due(now=310.0)[0]
    store.dead(first.delivery_id, reason="no", now=310.0)
    assert store.resend(STUDY, peer="ARCHIVE", everything=False, now=320.0).changed
    assert state(store) == JobState.READY
    store.dead(first.delivery_id, reason="no", now=330.0)
    for _ in range(MAXIMUM_ATTEMPTS):
        store.give_up(claim(store).job_id, "w2", reason="it broke", now=400.0)
    assert store.resend(STUDY, peer="ARCHIVE", everything=False, now=410.0).changed
    assert state(store) == JobState.READY


def test_a_forgotten_study_leaves_none(store, refused):
    """Rows that refer to its job go with it."""
    assert store.forget(STUDY, discard=lambda *_: None, now=500.0).changed
    assert claimed(store).job_id
    assert store.history(STUDY).substitutions == ()
