"""Research copies are wanted once each, wait for no result, and no job ever notices them."""

import itertools

import pytest

from dicom_node.domain.delivery import Outgoing
from dicom_node.domain.job import JobState
from dicom_node.domain.research import CopyState, CopyWish
from dicom_node.domain.study import InstanceKind
from dicom_node.store.research import MOST_WAITING
from tests.builders.studies import ANALYSED, LEASE_S, STUDY, going, receive, result

NUMBERS = itertools.count(1000)
BOTH = CopyWish(images=True, results=True)


def finished(store, *numbers, wish=BOTH, results=(), peers=(), now=200.0):
    """A job over these images, and a report of another kind, that has ended."""
    if numbers:
        receive(store, *numbers)
    store.settle(STUDY, reason="quiet", now=now)
    job = store.claim("w1", now=now, lease_s=LEASE_S)
    assert store.finish(job.job_id, "w1", **ANALYSED, results=going(results, peers), now=now, copies=wish)
    return job


def copies(store, number=1000, peer="RESEARCH", now=300.0):
    """Make so many copies, as the worker does; what they were made of."""
    made = []
    while len(made) < number and (original := store.next_original(now=now)) is not None:
        copy = result("MR", next(NUMBERS)) if peer else None
        assert store.copy_made(original, Outgoing(copy, (peer,)) if copy else None, now=now)
        made.append(original)
    return made


def state(store):
    """How the study stands."""
    return store.history(STUDY).study.state


def told(store):
    """What events say of copies."""
    return [event.reason for event in store.events(STUDY) if event.action == "research copy"]


def test_images_and_results_are_wanted_in_order(store):
    """Not what is no image; the paths are those of the originals."""
    receive(store, 9, kind=InstanceKind.NOT_AN_IMAGE)
    finished(store, 1, 2, results=[result("SEG")])
    made = copies(store)
    assert [each.path.name for each in made] == [f"{STUDY}.3.1.dcm", f"{STUDY}.3.2.dcm", "SEG1.dcm"]
    assert store.next_original(now=300.0) is None


@pytest.mark.parametrize(("wish", "number"), [(None, 0), (CopyWish(True, False), 2), (CopyWish(False, True), 1)])
def test_only_what_is_asked_for_is_wanted(store, wish, number):
    """Off by default; images alone; results alone."""
    finished(store, 1, 2, wish=wish, results=[result("SEG")])
    assert len(copies(store)) == number
    assert (store.history(STUDY).research is None) == (wish is None)


def test_copies_never_move_their_job(store):
    """Nor do they count among its deliveries, whether they are made, sent or dead."""
    finished(store, 1, 2, results=[result("SR")], peers=["PACS"])
    copies(store)
    report, *others = store.due(now=300.0)
    assert [each.peer for each in others] == ["RESEARCH"] * 3
    store.dead(others[0].delivery_id, reason="no", now=301.0)
    assert state(store) == JobState.DELIVERING
    store.sent(report.delivery_id, status=0, now=302.0)
    assert state(store) == JobState.DONE
    store.postpone(others[1].delivery_id, reason="busy", due_at=310.0, now=303.0)
    for each in others[1:]:
        store.sent(each.delivery_id, status=0, now=304.0)
    assert state(store) == JobState.DONE
    assert [each.peer for each in store.history(STUDY).study.deliveries] == ["PACS"]
    assert told(store) == ["wanted of 3 objects", "3 made", "deliveries: 2 sent, 1 dead (no)"]


def test_a_copy_is_no_predecessor_of_a_report(store):
    """Even where it is a report itself."""
    first = finished(store, 1, results=[result("SR")], peers=["PACS"])
    original = store.next_original(now=300.0)
    store.copy_made(original, Outgoing(result("SR", 77), ("PACS",)), now=300.0)
    [report] = store.earlier_reports(STUDY, before_job=first.job_id + 1)
    assert report.result.sop_instance_uid == result("SR").sop_instance_uid


def test_a_resend_sends_copies_and_leaves_the_job(store):
    """What is dead comes again; the study stays done."""
    finished(store, 1)
    copies(store)
    [copy] = store.due(now=300.0)
    store.dead(copy.delivery_id, reason="no", now=301.0)
    assert store.resend(STUDY, peer=None, everything=False, now=302.0).changed
    assert len(store.due(now=302.0)) == 1
    assert state(store) == JobState.DONE


def test_an_analysis_more_copies_nothing_twice(store):
    """What is made stays; what was left out, failed, or is new, is wanted once more."""
    finished(store, 1, 2)
    left_out, made = store.next_original(now=300.0), None
    store.copy_ended(left_out, CopyState.LEFT_OUT, reason="is a picture", now=300.0)
    [made] = copies(store)
    receive(store, 3, now=400.0)
    finished(store, now=500.0)
    assert [each.sop_instance_uid for each in copies(store)] == [left_out.sop_instance_uid, f"{STUDY}.3.3"]
    assert made.sop_instance_uid == f"{STUDY}.3.2"


def test_without_a_peer_nothing_is_delivered(store):
    """The copy is in its folder."""
    finished(store, 1)
    assert len(copies(store, peer=None)) == 1
    assert store.due(now=300.0) == ()


def test_no_more_wait_than_may(store):
    """A research archive that is away fills neither disk nor queue; as they go others are made."""
    finished(store, *range(1, MOST_WAITING + 6))
    assert len(copies(store)) == MOST_WAITING
    store.sent(store.due(now=300.0)[0].delivery_id, status=0, now=301.0)
    assert len(copies(store)) == 1


def test_what_kills_the_worker_is_given_up(store):
    """Begun three times without a word: the next in the row comes."""
    finished(store, 1, 2)
    for _ in range(3):
        assert store.next_original(now=300.0).path.name == f"{STUDY}.3.1.dcm"
    assert store.next_original(now=300.0).path.name == f"{STUDY}.3.2.dcm"
    assert store.history(STUDY).research.copies == {"failed": 1, "wanted": 1}


def test_what_waits_for_a_disk_is_not(store):
    """A try that ended with a reason costs nobody's life; the reason is told once."""
    finished(store, 1)
    for now in (300.0, 310.0, 320.0, 330.0):
        original = store.next_original(now=now)
        assert (original.attempt, original.failing_since) == (1, None if now == 300.0 else 300.0)
        store.copy_postponed(original, reason="disk full", now=now)
    assert told(store) == ["wanted of 1 objects", "waits: disk full"]


def test_the_event_counts_what_was_left_out(store):
    """With the reasons, and so does the status."""
    finished(store, 1, 2, 3, wish=CopyWish(True, False))
    for reason in ("is a picture", "is a picture"):
        store.copy_ended(store.next_original(now=300.0), CopyState.LEFT_OUT, reason=reason, now=300.0)
    copies(store)
    assert told(store)[-1] == "1 made, 2 left out (is a picture)"
    research = store.history(STUDY).research
    assert (research.copies, research.deliveries) == ({"made": 1, "left out": 2}, {"pending": 1})
    assert research.reasons == {"is a picture": 2}


def test_a_wanted_copy_keeps_its_study(store):
    """And one on its way does; then it may expire."""
    finished(store, 1)
    assert store.left_alone() == ()
    copies(store)
    assert store.left_alone() == ()
    store.sent(store.due(now=300.0)[0].delivery_id, status=0, now=301.0)
    assert len(store.left_alone()) == 1


def test_forget_takes_all_of_it(store):
    """A copy that is made meanwhile is not wanted any more."""
    finished(store, 1, 2)
    copies(store, 1)
    original = store.next_original(now=300.0)
    store.forget(STUDY, discard=lambda _study, _conflicts: None, now=301.0)
    assert not store.copy_made(original, Outgoing(result("MR"), ("RESEARCH",)), now=302.0)
    assert store.due(now=302.0) == ()
    assert store.next_original(now=302.0) is None
