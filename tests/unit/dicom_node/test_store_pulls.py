"""What the store knows of studies that are pulled: what is here, what was removed, and priors, which open no job."""

from dicom_node.domain.job import JobState
from dicom_node.domain.status import FETCHED_AS_PRIOR, NOTHING_TO_ANALYSE
from dicom_node.domain.study import InstanceKind
from dicom_node.store import Receipt
from tests.builders.studies import OTHER, STUDY, receive

DAY_S = 86400.0


def forget(store, study=STUDY):
    """Remove a study by request."""
    return store.forget(study, discard=lambda *_: None, now=500.0)


def test_held_is_what_came_in_conflict_too(store):
    """A peer that holds it need not send it again."""
    receive(store, 1)
    receive(store, 2, kind=InstanceKind.NOT_AN_IMAGE)
    assert receive(store, 1, digest="b") is Receipt.CONFLICT
    assert store.held_instances(STUDY) == {f"{STUDY}.3.1", f"{STUDY}.3.2"}
    assert store.held_instances(OTHER) == frozenset()


def test_a_removed_study_is_known_by_its_uid_alone(store):
    """Forgotten or expired; another one is not."""
    receive(store, 1)
    assert not store.was_removed(STUDY)
    forget(store)
    assert (store.was_removed(STUDY), store.was_removed(OTHER)) == (True, False)


def test_what_was_pulled_is_an_event_of_a_study_that_is_here(store):
    """Of one of which nothing came, nothing is written."""
    receive(store, 1)
    for study in (STUDY, OTHER):
        store.note_pulled(study, told="1 of 1", now=200.0)
    assert [(event.action, event.reason) for event in store.events(STUDY)][-1] == ("pulled", "1 of 1")
    assert store.events(OTHER) == ()


def test_a_prior_is_kept_and_not_analysed_until_a_person_asks(store):
    """It says so in `status`; rerun gives it a job, once."""
    store.note_prior(STUDY, now=90.0)
    receive(store, 1, 2, now=100.0)
    [status] = store.studies()
    assert (status.state, status.reason, status.image_count) == (NOTHING_TO_ANALYSE, FETCHED_AS_PRIOR, 2)
    assert store.receiving() == ()
    assert store.rerun(STUDY, now=200.0).changed
    assert store.studies()[0].state == JobState.READY
    assert not store.rerun(STUDY, now=201.0).changed


def test_a_study_with_a_job_is_no_prior(store):
    """Nor is one of which images come much later: somebody sent them."""
    receive(store, 1)
    store.note_prior(STUDY, now=110.0)
    store.note_prior(OTHER, now=110.0)
    receive(store, 1, study=OTHER, now=110.0 + DAY_S + 1)
    assert {status.state for status in store.studies()} == {JobState.RECEIVING}


def test_a_prior_that_never_came_is_no_prior_any_more(store):
    """Routed by the PACS the next hour, it is analysed."""
    store.note_prior(STUDY, now=100.0)
    store.note_pulled(STUDY, told="0 of 5", now=110.0)
    receive(store, 1, now=120.0)
    assert store.studies()[0].state == JobState.RECEIVING


def test_a_forgotten_prior_leaves_no_trace(store):
    """When it is sent again, it is a study like any other."""
    store.note_prior(STUDY, now=90.0)
    receive(store, 1)
    forget(store)
    receive(store, 1, now=600.0)
    assert store.studies()[0].state == JobState.RECEIVING
