"""Large studies and small ones: what is large, and who may be claimed beside it."""

from dataclasses import replace

import pytest

from dicom_node.domain.fairness import LARGE_BYTES, LARGE_IMAGES, is_large, most_large
from dicom_node.domain.urgency import Urgency
from dicom_node.store import Store
from tests.builders.studies import LEASE_S, instance, receive


@pytest.mark.parametrize(
    ("images", "size_bytes", "large"),
    [(LARGE_IMAGES, 1, True), (LARGE_IMAGES - 1, LARGE_BYTES - 1, False), (1, LARGE_BYTES, True)],
)
def test_many_images_or_many_bytes_are_large(images, size_bytes, large):
    """Few instances may have many frames."""
    assert is_large(images, size_bytes) is large


def test_one_worker_is_left_to_the_others():
    """A worker that is alone takes all."""
    assert [most_large(workers) for workers in (1, 2, 3, 8)] == [1, 1, 2, 7]


@pytest.fixture
def open_store(tmp_path):
    """Opens the store that so many workers share."""
    opened = []

    def opening(workers):
        opened.append(Store.open(tmp_path / "node.db", workers))
        return opened[-1]

    yield opening
    for store in opened:
        store.close()


def ready(store, study, *, large=False, urgency=Urgency.ROUTINE, now=100.0):
    """A study that waits for a worker; a large one has many bytes."""
    one = instance(1, study, urgency=urgency)
    one = replace(one, size_bytes=LARGE_BYTES) if large else one
    store.record_instance(one, calling_ae="PACS", now=now)
    store.settle(study, reason="quiet", now=now + 1)


def claims(store, *workers):
    """The studies that they get, in turn; None for nothing."""
    jobs = [store.claim(worker, now=200.0, lease_s=LEASE_S) for worker in workers]
    return [None if job is None else job.study_instance_uid for job in jobs]


def test_large_studies_leave_a_worker_to_the_small_ones(open_store):
    """However long the second one has waited."""
    store = open_store(2)
    ready(store, "1.1", large=True, now=100.0)
    ready(store, "1.2", large=True, now=101.0)
    ready(store, "2.1", now=102.0)
    ready(store, "2.2", now=103.0)
    assert claims(store, "a", "b") == ["1.1", "2.1"]
    assert claims(store, "c", "d") == ["2.2", None]


def test_a_large_study_is_next_when_the_one_before_it_is_done(open_store):
    """Small ones that came meanwhile did not take its place."""
    store = open_store(2)
    ready(store, "1.1", large=True, now=100.0)
    ready(store, "1.2", large=True, now=101.0)
    for number in range(3):
        ready(store, f"2.{number}", now=102.0 + number)
    first = store.claim("a", now=200.0, lease_s=LEASE_S)
    assert claims(store, "b") == ["2.0"]
    assert store.hold(first.job_id, "a", reason="done with", now=201.0)
    assert claims(store, "a", "c", "d") == ["1.2", "2.1", "2.2"]


def test_an_urgent_study_is_claimed_beside_a_large_one_however_large_it_is(open_store):
    """It finds the worker that was kept free; after it no large one may begin before one of the two is done."""
    store = open_store(2)
    ready(store, "1.1", large=True, now=100.0)
    assert claims(store, "a") == ["1.1"]
    ready(store, "1.2", large=True, now=101.0)
    ready(store, "3.1", large=True, urgency=Urgency.URGENT, now=102.0)
    assert claims(store, "b", "c") == ["3.1", None]


def test_a_worker_that_is_alone_takes_large_studies_in_their_turn(open_store):
    """As if there were no sizes."""
    store = open_store(1)
    ready(store, "1.1", large=True, now=100.0)
    ready(store, "2.1", now=101.0)
    assert claims(store, "a") == ["1.1"]


def test_what_cannot_be_claimed_now_is_not_overtaken(open_store):
    """The turn of the one that waits longest of the small ones comes all the same, under a stream of urgent ones."""
    store = open_store(2)
    ready(store, "1.1", large=True, now=100.0)
    ready(store, "1.2", large=True, now=101.0)
    ready(store, "2.1", now=102.0)
    assert claims(store, "a") == ["1.1"]
    for number in range(6):
        ready(store, f"3.{number}", urgency=Urgency.URGENT, now=110.0 + number)
    assert claims(store, *"bcdefgh") == ["3.0", "3.1", "3.2", "3.3", "2.1", "3.4", "3.5"]


def test_large_ones_are_overtaken_as_others_are(open_store):
    """While they may be claimed: four times, by small urgent ones."""
    store = open_store(2)
    ready(store, "1.1", large=True, now=100.0)
    for number in range(6):
        ready(store, f"3.{number}", urgency=Urgency.URGENT, now=110.0 + number)
    assert claims(store, *"bcdef") == ["3.0", "3.1", "3.2", "3.3", "1.1"]


def test_the_size_is_that_of_all_images_when_the_study_settles(open_store):
    """Late images count, and what is asked for again has its size."""
    store = open_store(2)
    ready(store, "1.1", large=True)
    assert claims(store, "a") == ["1.1"]
    receive(store, *range(1, LARGE_IMAGES), study="2.1", now=110.0)
    store.settle("2.1", reason="quiet", now=900.0)
    receive(store, LARGE_IMAGES, study="2.1", now=901.0)
    store.settle("2.1", reason="quiet", now=902.0)
    assert store.claim("b", now=150.0, lease_s=LEASE_S) is None
