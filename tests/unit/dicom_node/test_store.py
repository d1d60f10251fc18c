"""The life of studies, jobs and deliveries in the database."""

import json
import multiprocessing
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_node.domain.delivery import DeliveryState
from dicom_node.domain.errors import StoreError
from dicom_node.domain.job import MAXIMUM_ATTEMPTS, JobState
from dicom_node.domain.status import NOTHING_TO_ANALYSE
from dicom_node.domain.study import InstanceKind, Sender, StudyActivity
from dicom_node.store import Receipt, Store
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


def state(store, study=STUDY):
    """The state of a study."""
    return next(status.state for status in store.studies() if status.study_instance_uid == study)


def actions(store, study=STUDY):
    """What happened to a study, in order."""
    return [event.action for event in store.events(study)]


def test_first_image_opens_a_job(store):
    """The study is being received from its first image on."""
    assert receive(store, 1, 2, 3) is Receipt.NEW
    assert store.receiving() == (StudyActivity(STUDY, 3, 100.0, 102.0, (Sender("PACS", 3),)),)
    assert state(store) == JobState.RECEIVING
    assert [(event.at, event.action, event.reason) for event in store.events(STUDY)] == [
        (100.0, "receiving", "first image")
    ]


def test_instances_come_back_as_they_were_recorded(store):
    """Every field survives, in the order of arrival, of this study only."""
    receive(store, 2, 1)
    receive(store, 7, kind=InstanceKind.NOT_AN_IMAGE)
    receive(store, 1, study=OTHER)
    assert store.instances(STUDY) == (instance(2), instance(1), instance(7, kind=InstanceKind.NOT_AN_IMAGE))


@pytest.mark.parametrize("kind", [InstanceKind.NOT_AN_IMAGE, InstanceKind.OWN_RESULT])
def test_other_objects_open_no_job_and_delay_nothing(store, kind):
    """Reports and own results are recorded; settling does not wait for them."""
    receive(store, 1)
    assert receive(store, 2, kind=kind, now=500.0) is Receipt.NEW
    [activity] = store.receiving()
    assert (activity.image_count, activity.first_received_at, activity.last_received_at) == (1, 100.0, 100.0)
    receive(store, 1, study=OTHER, kind=kind)
    assert [activity.study_instance_uid for activity in store.receiving()] == [STUDY]
    assert state(store, OTHER) == NOTHING_TO_ANALYSE


@pytest.mark.parametrize("kind", [InstanceKind.NOT_AN_IMAGE, InstanceKind.OWN_RESULT])
def test_own_results_coming_back_do_not_reopen_a_study(store, kind):
    """What the archive returns after delivery starts nothing again."""
    job = delivering(store, "SEG")
    receive(store, 9, kind=kind, now=300.0)
    assert store.receiving() == ()
    assert store.claim("w2", now=301.0, lease_s=LEASE_S) is None
    assert [status.job_id for status in store.due(now=301.0)] == [job.job_id]


def test_same_bytes_again_are_a_duplicate(store):
    """A repeated send changes nothing but the list of events."""
    claimed(store)
    assert receive(store, 1, now=300.0) is Receipt.DUPLICATE
    assert store.instances(STUDY) == (instance(1),)
    assert state(store) == JobState.RUNNING
    assert actions(store) == ["receiving", "ready", "running", "duplicate"]


def test_other_bytes_are_a_conflict_and_the_first_stay(store, path):
    """The second object is kept apart with its path, once however often it comes; no job changes; a third is news."""
    claimed(store)
    other = replace(instance(1, digest="b"), path=Path("/conflicts/1.dcm"))
    receipts = [store.record_instance(other, calling_ae="MR1", now=300.0 + index) for index in range(2)]
    assert receipts == [Receipt.CONFLICT, Receipt.CONFLICT]
    assert store.instances(STUDY) == (instance(1),)
    assert actions(store) == ["receiving", "ready", "running", "conflict"]
    assert rows(path, "SELECT path, digest, calling_ae_title, received_at FROM conflict") == [
        ("/conflicts/1.dcm", "b", "MR1", 300.0)
    ]
    store.record_instance(replace(other, digest="c"), calling_ae="MR1", now=303.0)
    assert actions(store)[-2:] == ["conflict", "conflict"]


def test_many_at_once_are_as_one_after_the_other(store):
    """In their order, also where one of them is what another was; and all or none."""
    other = instance(1, digest="b")
    received = [(each, "PACS", 300.0) for each in (instance(1), instance(1), other, instance(2))]
    assert store.record_instances(received) == [Receipt.NEW, Receipt.DUPLICATE, Receipt.CONFLICT, Receipt.NEW]
    assert store.instances(STUDY) == (instance(1), instance(2))
    with pytest.raises(StoreError):
        store.record_instances([(instance(3), "PACS", 300.0), (replace(instance(4), size_bytes=None), "PACS", 300.0)])
    assert len(store.instances(STUDY)) == 2


def test_the_same_bytes_again_are_told_once(store):
    """A PACS that sends all of it every night fills no disk; another sender is news."""
    for sender in ("PACS", "PACS", "PACS", "MR1"):
        store.record_instance(instance(1), calling_ae=sender, now=300.0)
    assert actions(store) == ["receiving", "duplicate", "duplicate"]


def test_conflict_between_studies_is_told_in_both(store):
    """An instance that claims a second study is an event of either."""
    receive(store, 1)
    stray = replace(instance(1, digest="b"), study_instance_uid=OTHER)
    assert store.record_instance(stray, calling_ae="PACS", now=300.0) is Receipt.CONFLICT
    assert (actions(store)[-1], actions(store, OTHER)) == ("conflict", ["conflict"])


def test_settled_study_waits_for_a_worker(store):
    """Settling keeps its reason and its time."""
    receive(store, 1, 2)
    store.settle(STUDY, reason="2 images, quiet", now=110.0)
    assert store.receiving() == ()
    [status] = store.studies()
    assert (status.state, status.reason, status.settled_at) == (JobState.READY, "2 images, quiet", 110.0)
    assert store.events(STUDY)[-1].reason == "2 images, quiet"


@pytest.mark.parametrize("step", ["nothing", "ready", "running", "held", "failed"])
def test_only_a_study_being_received_can_be_settled(store, step):
    """Settling anything else is refused, also where the table of transitions knows the step."""
    if step != "nothing":
        receive(store, 1)
        store.settle(STUDY, reason="quiet", now=110.0)
    if step in ("running", "held", "failed"):
        job = store.claim("w1", now=111.0, lease_s=LEASE_S)
    if step == "held":
        store.hold(job.job_id, "w1", reason="two patients", now=112.0)
    if step == "failed":
        exhaust(store, job)
    with pytest.raises(StoreError, match=rf"study {STUDY} (has no job|is {step}); only a study being received"):
        store.settle(STUDY, reason="again", now=120.0)


def test_late_image_before_a_worker_reopens_the_job(store):
    """READY goes back to RECEIVING: one job, one analysis, of everything."""
    receive(store, 1)
    store.settle(STUDY, reason="quiet", now=110.0)
    receive(store, 2, now=120.0)
    assert store.claim("w1", now=121.0, lease_s=LEASE_S) is None
    assert store.receiving() == (StudyActivity(STUDY, 2, 100.0, 120.0, (Sender("PACS", 2),)),)
    assert store.studies()[0].settled_at is None
    store.settle(STUDY, reason="quiet again", now=130.0)
    assert store.claim("w1", now=131.0, lease_s=LEASE_S).settled_at == 130.0
    assert actions(store) == ["receiving", "ready", "receiving", "ready", "running"]


def exhaust(store, job):
    """Let a job fail as often as it may."""
    now = 300.0
    while store.give_up(job.job_id, "w1", reason="broken", now=now) is JobState.READY:
        job = store.claim("w1", now=now, lease_s=LEASE_S)
    return job


def end_running(store, job):
    """Leave it in the hands of the worker."""


def end_delivering(store, job):
    """Send it on its way."""
    store.finish(job.job_id, "w1", **ANALYSED, results=going([result("SR")], ["PACS"]), now=210.0)


def end_done(store, job):
    """Finish without results."""
    store.finish(job.job_id, "w1", **ANALYSED, results=going([], ["PACS"]), now=210.0)


def end_held(store, job):
    """Put it before a person."""
    store.hold(job.job_id, "w1", reason="two patients", now=210.0)


@pytest.mark.parametrize("end", [end_running, end_delivering, end_done, end_held, exhaust])
def test_late_image_after_that_opens_a_new_job(store, end):
    """Whatever became of the first job, the late image gets its study a new one, and the first goes its way."""
    first = claimed(store)
    end(store, first)
    before = actions(store)
    due = store.due(now=400.0)
    receive(store, 2, now=400.0)
    assert store.receiving() == (StudyActivity(STUDY, 2, 400.0, 400.0, (Sender("PACS", 2),)),)
    assert actions(store) == [*before, "receiving"]
    assert store.events(STUDY)[-1].reason.startswith(f"late image, when job {first.job_id} was ")
    assert store.events(STUDY)[-1].job_id != first.job_id
    assert store.due(now=400.0) == due


def test_late_job_waits_until_the_first_is_no_longer_run(store):
    """Two workers never analyse one study at once."""
    first = claimed(store)
    receive(store, 2, now=201.0)
    store.settle(STUDY, reason="quiet", now=210.0)
    assert store.claim("w2", now=211.0, lease_s=LEASE_S) is None
    store.finish(first.job_id, "w1", **ANALYSED, results=going([], []), now=220.0)
    second = store.claim("w2", now=221.0, lease_s=LEASE_S)
    assert second.job_id != first.job_id
    assert len(store.instances(STUDY)) == 2


def test_deliveries_of_the_first_job_go_on_beside_a_late_one(store):
    """DELIVERING ends well though the study is being received again."""
    delivering(store, "SR")
    receive(store, 2, now=300.0)
    [delivery] = store.due(now=301.0)
    store.sent(delivery.delivery_id, status=0, now=302.0)
    assert actions(store)[-3:] == ["receiving", "sent", "done"]
    assert state(store) == JobState.RECEIVING


def test_clock_set_back_does_not_hasten_settling(store):
    """The latest time counts, not the latest image."""
    receive(store, 1, now=100.0)
    receive(store, 2, now=50.0)
    assert store.receiving()[0].last_received_at == 100.0


def test_claims_come_oldest_first(store):
    """The study that was settled first is analysed first; each claim counts an attempt."""
    for study, settled_at in ((STUDY, 120.0), (OTHER, 110.0)):
        receive(store, 1, study=study)
        store.settle(study, reason="quiet", now=settled_at)
    jobs = [store.claim("w1", now=200.0, lease_s=LEASE_S), store.claim("w2", now=200.0, lease_s=LEASE_S)]
    assert [(job.study_instance_uid, job.attempt, job.state, job.settled_at) for job in jobs] == [
        (OTHER, 1, JobState.RUNNING, 110.0),
        (STUDY, 1, JobState.RUNNING, 120.0),
    ]
    assert store.claim("w3", now=200.0, lease_s=LEASE_S) is None


def test_lease_that_ran_out_is_claimed_by_another(store):
    """At 200 + 60 s the first worker has lost the job, and nothing it says counts any more."""
    job = claimed(store)
    assert store.claim("w2", now=259.9, lease_s=LEASE_S) is None
    again = store.claim("w2", now=260.0, lease_s=LEASE_S)
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    before = store.studies(), store.events(STUDY)
    assert not store.heartbeat(job.job_id, "w1", now=261.0, lease_s=LEASE_S)
    assert not store.finish(job.job_id, "w1", **ANALYSED, results=going([result("SR")], ["PACS"]), now=261.0)
    assert not store.hold(job.job_id, "w1", reason="late", now=261.0)
    assert store.give_up(job.job_id, "w1", reason="late", now=261.0) is JobState.RUNNING
    assert (store.studies(), store.events(STUDY)) == before
    assert store.finish(job.job_id, "w2", **ANALYSED, results=going([], []), now=262.0)
    assert actions(store) == ["receiving", "ready", "running", "ready", "running", "done"]


def test_heartbeat_prolongs_the_lease(store):
    """A beat at 250 s keeps the job until 310 s."""
    job = claimed(store)
    assert store.heartbeat(job.job_id, "w1", now=250.0, lease_s=LEASE_S)
    assert store.claim("w2", now=309.9, lease_s=LEASE_S) is None
    assert store.claim("w2", now=310.0, lease_s=LEASE_S) is not None


def test_worker_that_is_late_but_not_replaced_may_finish(store):
    """Nobody took the job over, so the work is not thrown away."""
    job = claimed(store)
    assert store.heartbeat(job.job_id, "w1", now=1000.0, lease_s=LEASE_S)
    assert store.finish(job.job_id, "w1", **ANALYSED, results=going([], []), now=5000.0)


def test_job_that_kills_its_workers_fails_in_the_end(store):
    """A job whose lease ran out on its last attempt is not given to yet another worker."""
    claimed(store)
    now = 200.0
    for attempt in range(2, MAXIMUM_ATTEMPTS + 1):
        now += LEASE_S
        assert store.claim("w1", now=now, lease_s=LEASE_S).attempt == attempt
    assert store.claim("w1", now=now + LEASE_S, lease_s=LEASE_S) is None
    [status] = store.studies()
    assert (status.state, status.finished_at) == (JobState.FAILED, now + LEASE_S)
    assert status.reason == "gave up after attempt 3: worker w1 was not heard of in time"


def test_giving_up_retries_and_then_fails(store):
    """Three attempts, then FAILED with the reason."""
    job = claimed(store)
    assert store.give_up(job.job_id, "w1", reason="out of memory", now=210.0) is JobState.READY
    assert store.studies()[0].reason == "out of memory"
    job = exhaust(store, store.claim("w1", now=211.0, lease_s=LEASE_S))
    assert job.attempt == MAXIMUM_ATTEMPTS
    [status] = store.studies()
    assert (status.state, status.reason, status.attempt) == (JobState.FAILED, "gave up after attempt 3: broken", 3)
    assert store.claim("w1", now=400.0, lease_s=LEASE_S) is None
    assert actions(store) == ["receiving", "ready", *["running", "ready"] * 2, "running", "failed"]


def test_held_job_waits(store):
    """A held job keeps its reason and is not claimed."""
    job = claimed(store)
    assert store.hold(job.job_id, "w1", reason="two patients in one study", now=210.0)
    assert store.claim("w1", now=999.0, lease_s=LEASE_S) is None
    [status] = store.studies()
    assert (status.state, status.reason, status.finished_at) == (JobState.HELD, "two patients in one study", 210.0)


@pytest.mark.parametrize(
    ("results", "peers", "reason"),
    [([], ["PACS"], "no results to send"), ([result("SR")], [], "nobody to send results to"), ([], [], "no results")],
)
def test_nothing_to_deliver_is_done(store, results, peers, reason):
    """Without results or peers a finished job is done."""
    job = claimed(store)
    assert store.finish(job.job_id, "w1", **ANALYSED, results=going(results, peers), now=210.0)
    [status] = store.studies()
    assert (status.state, status.outcome, json.loads(status.summary)) == (JobState.DONE, "complete", {"found": 1})
    assert status.reason.startswith(reason)
    assert status.finished_at == 210.0


def test_finish_makes_one_delivery_for_each_result_and_peer(store):
    """Due at once, in the order of the results, for either peer."""
    job = delivering(store, "SEG", "SR", "PR", peers=("PACS", "ARC"))
    due = store.due(now=210.0)
    assert [(d.peer, d.path.stem) for d in due if d.peer == "ARC"] == [("ARC", f"{m}1") for m in ("SEG", "SR", "PR")]
    assert [d.path.stem for d in due if d.peer == "PACS"] == ["SEG1", "SR1", "PR1"]
    assert {(d.job_id, d.attempt) for d in due} == {(job.job_id, 1)}
    assert (due[0].sop_class_uid, due[0].sop_instance_uid) == ("1.9.SEG", "2.25.1SEG")
    assert store.due(now=209.9) == ()
    assert state(store) == JobState.DELIVERING


def test_object_that_waits_holds_back_those_behind_it(store):
    """A postponed SEG keeps SR and PR of its job from that peer, and nothing else."""
    delivering(store, "SEG", "SR", "PR", peers=("PACS", "ARC"))
    delivering(store, "SEG", study=OTHER)
    seg = next(d for d in store.due(now=211.0) if d.peer == "PACS")
    store.postpone(seg.delivery_id, reason="PACS does not answer", due_at=300.0, now=212.0)
    assert [(d.peer, d.path.stem) for d in store.due(now=299.9)] == [
        ("ARC", "SEG1"), ("ARC", "SR1"), ("ARC", "PR1"), ("PACS", "SEG1"),
    ]  # fmt: skip
    again = [d for d in store.due(now=300.0) if d.peer == "PACS"]
    assert [(d.path.stem, d.attempt) for d in again] == [("SEG1", 2), ("SR1", 1), ("PR1", 1), ("SEG1", 1)]


@pytest.mark.parametrize("decide", ["sent", "dead"])
def test_object_that_is_decided_lets_the_next_go(store, decide):
    """A SEG that arrived or was refused for good stands in nobody's way."""
    delivering(store, "SEG", "SR")
    seg, report = store.due(now=211.0)
    store.postpone(seg.delivery_id, reason="busy", due_at=900.0, now=212.0)
    assert store.due(now=213.0) == ()
    if decide == "sent":
        store.sent(seg.delivery_id, status=0, now=214.0)
    else:
        store.dead(seg.delivery_id, reason="no", now=214.0)
    assert [d.delivery_id for d in store.due(now=215.0)] == [report.delivery_id]


def test_job_is_done_when_the_last_delivery_arrived(store):
    """A warning counts as arrived; the last answer ends the job."""
    delivering(store, "SEG", "SR")
    first, last = store.due(now=211.0)
    store.sent(first.delivery_id, status=0xB000, now=212.0)
    assert state(store) == JobState.DELIVERING
    store.sent(last.delivery_id, status=0, now=213.0)
    [status] = store.studies()
    assert (status.state, status.reason) == (JobState.DONE, "all 2 deliveries arrived")
    assert [event.reason for event in store.events(STUDY)[-3:]] == [
        "SEG to PACS: answered 0xB000",
        "SR to PACS: answered 0x0000",
        "all 2 deliveries arrived",
    ]


@pytest.mark.parametrize("dead_first", [True, False])
def test_job_fails_when_a_delivery_is_dead(store, dead_first):
    """One refused object is enough, first or last; the reason says which and why."""
    delivering(store, "SEG", "SR")
    for delivery in store.due(now=211.0):
        if (delivery.path.stem == "SEG1") is dead_first:
            store.dead(delivery.delivery_id, reason="PACS takes no such object", now=212.0)
        else:
            store.sent(delivery.delivery_id, status=0, now=212.0)
    [status] = store.studies()
    refused = "SEG" if dead_first else "SR"
    assert status.state == JobState.FAILED
    assert status.reason == f"1 of 2 deliveries are dead; {refused} to PACS: PACS takes no such object"


def test_postponing_counts_and_tells_news_once(store):
    """Every try counts; the same reason again is no event, so that a dead peer does not fill the disk."""
    delivering(store, "SR")
    for number, reason in enumerate(("refused", "refused", "no route")):
        [delivery] = store.due(now=1000.0 * (number + 1))
        store.postpone(delivery.delivery_id, reason=reason, due_at=1000.0 * (number + 2), now=500.0)
    assert store.due(now=4000.0)[0].attempt == 4
    assert [event.reason for event in store.events(STUDY) if event.action == "postponed"] == [
        "SR to PACS: refused",
        "SR to PACS: no route",
    ]


def test_delivery_is_decided_once(store):
    """What arrived cannot be sent, postponed or buried again, and an unknown delivery is told as such."""
    delivering(store, "SR")
    [delivery] = store.due(now=211.0)
    store.sent(delivery.delivery_id, status=0, now=212.0)
    for again in (
        lambda: store.sent(delivery.delivery_id, status=0, now=213.0),
        lambda: store.dead(delivery.delivery_id, reason="no", now=213.0),
        lambda: store.postpone(delivery.delivery_id, reason="no", due_at=300.0, now=213.0),
    ):
        with pytest.raises(StoreError, match=f"delivery {delivery.delivery_id} is sent already"):
            again()
    with pytest.raises(StoreError, match="delivery 99 does not exist"):
        store.sent(99, status=0, now=213.0)


def test_studies_tell_how_each_stands(store):
    """Newest first, by the newest job, with counts and deliveries; studies without images too."""
    delivering(store, "SEG", "SR")
    receive(store, 9, kind=InstanceKind.OWN_RESULT, now=250.0)
    seg, _ = store.due(now=260.0)
    store.dead(seg.delivery_id, reason="refused", now=261.0)
    receive(store, 1, 2, study=OTHER, kind=InstanceKind.NOT_AN_IMAGE, now=300.0)
    newest, oldest = store.studies()
    assert store.studies(limit=1) == (newest,)
    assert (newest.state, newest.reason) == (NOTHING_TO_ANALYSE, "nothing that came is an image")
    assert (newest.instance_count, newest.image_count, newest.attempt, newest.deliveries) == (2, 0, 0, ())
    assert (oldest.instance_count, oldest.image_count, oldest.attempt) == (2, 1, 1)
    assert (oldest.received_at, oldest.settled_at, oldest.finished_at) == (100.0, 199.0, 210.0)
    assert [(d.modality, d.peer, d.state, d.reason) for d in oldest.deliveries] == [
        ("SEG", "PACS", DeliveryState.DEAD, "refused"),
        ("SR", "PACS", DeliveryState.PENDING, ""),
    ]
    assert oldest.deliveries[0].path == Path("/results/SEG1.dcm")


def test_study_is_told_by_its_newest_job(store):
    """After a late image the status is that of the new job, without the deliveries of the old one."""
    delivering(store, "SR")
    receive(store, 2, now=300.0)
    [status] = store.studies()
    assert (status.state, status.deliveries, status.outcome) == (JobState.RECEIVING, (), None)
    assert status.received_at == 100.0


def test_everything_survives_closing(store, path):
    """Another process later finds what was recorded."""
    delivering(store, "SR")
    before = store.studies(), store.events(STUDY), store.due(now=300.0), store.instances(STUDY)
    store.close()
    again = Store.open(path)
    assert (again.studies(), again.events(STUDY), again.due(now=300.0), again.instances(STUDY)) == before
    again.close()


def test_step_that_fails_leaves_no_trace(store):
    """A summary that is no JSON is refused, and neither results nor events of that step remain."""
    job = claimed(store)
    before = store.studies(), store.events(STUDY)
    with pytest.raises(StoreError, match="CHECK constraint failed"):
        store.finish(job.job_id, "w1", outcome="complete", summary="{", results=going([], []), now=210.0)
    with pytest.raises(StoreError, match="UNIQUE constraint failed"):
        store.finish(job.job_id, "w1", **ANALYSED, results=going([result("SR"), result("SR")], ["PACS"]), now=210.0)
    assert (store.studies(), store.events(STUDY), store.due(now=999.0)) == (*before, ())
    assert store.finish(job.job_id, "w1", **ANALYSED, results=going([result("SR")], ["PACS"]), now=211.0)


def test_unknown_job_is_told(store):
    """A job of another database is a fault, not a lost lease."""
    with pytest.raises(StoreError, match="there is no job 7"):
        store.give_up(7, "w1", reason="?", now=1.0)


def test_two_stores_share_one_file(store, path):
    """What one store commits the other sees, and a job is claimed by one of them only."""
    other = Store.open(path)
    receive(other, 1)
    store.settle(STUDY, reason="quiet", now=110.0)
    job = other.claim("w2", now=120.0, lease_s=LEASE_S)
    assert store.claim("w1", now=120.0, lease_s=LEASE_S) is None
    assert not store.heartbeat(job.job_id, "w1", now=121.0, lease_s=LEASE_S)
    assert store.heartbeat(job.job_id, "w2", now=121.0, lease_s=LEASE_S)
    other.close()


def test_threads_share_one_store(store):
    """Eight associations at once lose no image, and their study has one job."""

    def send(first):
        receive(store, *range(first, first + 25))

    threads = [threading.Thread(target=send, args=(100 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.instances(STUDY)) == 200
    assert actions(store) == ["receiving"]


def work(path, worker, claimed_jobs):
    """A worker process: claim until nothing waits."""
    store = Store.open(path)
    while (job := store.claim(worker, now=200.0, lease_s=LEASE_S)) is not None:
        assert store.finish(job.job_id, worker, **ANALYSED, results=going([], []), now=201.0)
        claimed_jobs.put(job.job_id)
    store.close()


def test_processes_never_claim_the_same_job(store, path):
    """Three processes share thirty jobs: each job is run once."""
    for number in range(30):
        receive(store, 1, study=f"1.3.{number}")
        store.settle(f"1.3.{number}", reason="quiet", now=110.0)
    spawn = multiprocessing.get_context("spawn")
    claimed_jobs = spawn.Queue()
    workers = [spawn.Process(target=work, args=(path, f"w{number}", claimed_jobs)) for number in range(3)]
    for worker in workers:
        worker.start()
    claims = Counter(claimed_jobs.get(timeout=60) for _ in range(30))
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(claims.values()) == [1] * 30
    assert claimed_jobs.empty()


def rows(path, sql):
    """Rows of the file itself, for what no method tells."""
    import sqlite3  # noqa: PLC0415  # only these tests look behind the store

    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_only_images_that_change_something_are_events(store, path):
    """A study of a hundred images has one event of receiving; each image's row says from whom and when."""
    receive(store, *range(100))
    assert actions(store) == ["receiving"]
    assert rows(path, "SELECT calling_ae_title, received_at FROM instance WHERE rowid = 100") == [("PACS", 199.0)]


@pytest.mark.parametrize("refused_by", [(), ("LAB",)])
def test_reports_of_earlier_jobs_are_known_to_the_next(store, refused_by):
    """The newest first, with who got them, and with what was found; a destination that refused one never got it."""
    first = delivering(store, "SEG", "SR", peers=("PACS", "LAB"))
    for delivery in store.due(now=212.0):
        if delivery.peer in refused_by:
            store.dead(delivery.delivery_id, reason="no", now=212.0)
        else:
            store.sent(delivery.delivery_id, status=0, now=212.0)
    receive(store, 5, now=300.0)
    store.settle(STUDY, reason="quiet", now=310.0)
    job = store.claim("w1", now=311.0, lease_s=LEASE_S)
    (report,) = store.earlier_reports(STUDY, before_job=job.job_id)
    assert (report.job_id, report.result.modality, report.summary) == (first.job_id, "SR", ANALYSED["summary"])
    assert sorted(report.peers) == sorted({"PACS", "LAB"} - set(refused_by))
    assert store.earlier_reports(STUDY, before_job=first.job_id) == ()
