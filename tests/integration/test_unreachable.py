"""Peers that are down, hang, or come back: what waits for them, and what it costs the others."""

import random
import threading

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from dicom_node import associations
from dicom_node.domain.breaker import OPENS_AFTER
from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.outbox import Outbox
from tests.builders.network import HOST, PATIENCE_S, MemoryDeliveries, free_port, image_series, running_node, saved

MR = "1.2.840.10008.5.1.4.1.1.4"
GIVE_UP_AFTER_S = 3600.0

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self):
        """The time it was set to."""
        return self.now


@pytest.fixture
def clock():
    """One for the test."""
    return Clock()


@pytest.fixture
def deliveries():
    """An empty store of deliveries."""
    return MemoryDeliveries()


@pytest.fixture
def paths(tmp_path):
    """Three result files."""
    return [saved(dataset, tmp_path / "results") for dataset in image_series()]


@pytest.fixture
def peer():
    """Starts peers, each with its handlers, and stops them."""
    entities = []

    def start(name, *handlers, sop_class=MR):
        entity = AE(ae_title="PEER")
        entity.add_supported_context(sop_class, [ExplicitVRLittleEndian])
        port = free_port()
        entity.start_server((HOST, port), block=False, evt_handlers=list(handlers))
        entities.append(entity)
        return Destination(name, "PEER", HOST, port)

    yield start
    for entity in entities:
        entity.shutdown()


def outbox_for(deliveries, clock, *destinations):
    """An outbox that knows these destinations."""
    by_name = {destination.name: destination for destination in destinations}
    return Outbox(deliveries, by_name, "NODE", clock, RetryPolicy(GIVE_UP_AFTER_S, random.Random(7)))


def opened(outbox, deliveries, clock, name):
    """The peer's breaker after the failures that open it."""
    for _ in range(OPENS_AFTER):
        outbox.deliver_due_to(name)
        clock.now += 10.0
    assert deliveries.breakers[name].is_open
    return deliveries.breakers[name]


def test_a_peer_that_comes_back_gets_the_whole_queue_at_once(deliveries, clock, paths, tmp_path):
    """Also what came while it was away, and what would have waited for long by itself."""
    gone = Destination("gone", "NODE", HOST, free_port())
    outbox = outbox_for(deliveries, clock, gone)
    deliveries.add(paths[0], peer="gone", job_id=1)
    opened(outbox, deliveries, clock, "gone")
    deliveries.add(paths[1], peer="gone", job_id=2)
    waits_long = deliveries.add(paths[2], peer="gone", job_id=3)
    deliveries.due_at[waits_long] = clock.now + 600.0
    clock.now += 600.0
    with running_node(tmp_path / "back", port=gone.port) as back:
        clock.now = deliveries.breakers["gone"].next_try_at - 0.1
        assert outbox.deliver_due_to("gone") == 0
        clock.now += 0.1
        assert outbox.deliver_due_to("gone") + outbox.deliver_due_to("gone") == 3
    assert {instance.sop_instance_uid for instance in back.stored} == {path.stem for path in paths}
    assert deliveries.breakers == {}


def test_an_open_breaker_calls_once_at_its_time_however_much_waits(peer, deliveries, clock, paths):
    """And its objects have no tries of their own, so that none is put off by itself."""
    calls = []
    hangs_up = peer("peer", (evt.EVT_REQUESTED, lambda event: (calls.append(clock.now), event.assoc.abort())))
    for job_id in range(1, 21):
        deliveries.add(paths[job_id % 3], peer="peer", job_id=job_id)
    outbox = outbox_for(deliveries, clock, hangs_up)
    opened(outbox, deliveries, clock, "peer")
    tries, calls[:] = {each.attempt for each in deliveries.waiting.values()}, []
    times = []
    for _ in range(3):
        times.append(deliveries.breakers["peer"].next_try_at)
        clock.now = times[-1] - 0.1
        outbox.deliver_due_to("peer")
        clock.now = times[-1]
        outbox.deliver_due_to("peer")
    assert calls == times
    assert {each.attempt for each in deliveries.waiting.values()} == tries
    assert times[2] - times[1] > times[1] - times[0] > 8.0


def test_age_is_counted_from_the_first_failure_under_the_breaker_too(deliveries, clock, paths):
    """What has failed for too long is dead; what came later waits on."""
    outbox = outbox_for(deliveries, clock, Destination("gone", "GONE", HOST, free_port()))
    old = deliveries.add(paths[0], peer="gone", job_id=1)
    opened(outbox, deliveries, clock, "gone")
    clock.now = 1000.0 + GIVE_UP_AFTER_S - 1.0
    outbox.deliver_due_to("gone")
    young = deliveries.add(paths[1], peer="gone", job_id=2)
    clock.now = 1000.0 + GIVE_UP_AFTER_S + 1000.0
    outbox.deliver_due_to("gone")
    assert deliveries.buried.keys() == {old}
    assert deliveries.buried[old].startswith("in vain for 1 hours: no connection")
    assert deliveries.waiting.keys() == {young}


def test_a_peer_that_never_answers_a_store_opens_it_too(peer, deliveries, clock, paths, monkeypatch):
    """Associations are accepted, objects are not answered: three waits, not one for each object that is queued."""
    monkeypatch.setattr(associations, "_DIMSE_TIMEOUT_S", 0.2)
    answer, asked = threading.Event(), []

    def silent(event):
        asked.append(event.request.AffectedSOPInstanceUID)
        answer.wait(PATIENCE_S)
        return 0

    destination = peer("peer", (evt.EVT_C_STORE, silent))
    for job_id in range(1, 11):
        deliveries.add(paths[job_id % 3], peer="peer", job_id=job_id)
    outbox = outbox_for(deliveries, clock, destination)
    for _ in range(10):
        outbox.deliver_due_to("peer")
    answer.set()
    assert len(asked) == OPENS_AFTER
    assert deliveries.breakers["peer"].is_open


def test_an_object_that_ends_every_association_does_not_keep_the_breaker_open(peer, deliveries, clock, paths):
    """The probe is another job's, and all others arrive."""
    deadly = paths[0].stem

    def answer(event):
        if event.request.AffectedSOPInstanceUID == deadly:
            event.assoc.abort()
        return 0

    destination = peer("peer", (evt.EVT_C_STORE, answer))
    deliveries.add(paths[0], peer="peer", job_id=1)
    outbox = outbox_for(deliveries, clock, destination)
    opened(outbox, deliveries, clock, "peer")
    clock.now += 600.0
    deliveries.add(paths[1], peer="peer", job_id=2)
    deliveries.add(paths[2], peer="peer", job_id=3)
    assert outbox.deliver_due_to("peer") == 2
    assert deliveries.waiting.keys() == {1}


def test_a_peer_that_is_back_and_takes_nothing_is_reachable(deliveries, clock, paths, peer):
    """Its refusal is an answer: what is refused is dead, and the breaker closed."""
    gone = Destination("gone", "PEER", HOST, free_port())
    deliveries.add(paths[0], peer="gone")
    opened(outbox_for(deliveries, clock, gone), deliveries, clock, "gone")
    clock.now += 600.0
    there = Destination("gone", "PEER", HOST, peer("gone", sop_class="1.2.840.10008.1.1").port)
    assert outbox_for(deliveries, clock, there).deliver_due_to("gone") == 0
    assert deliveries.breakers == {}
    assert "none of the SOP classes" in deliveries.buried[1]


def test_one_dead_among_three_costs_the_others_nothing(peer, deliveries, clock, paths):
    """While the dead one's round is still waiting for its end, the others have all of theirs."""
    others_done, release = threading.Event(), threading.Event()

    def hold(_event):
        release.wait(PATIENCE_S)

    stuck = peer("stuck", (evt.EVT_REQUESTED, hold))
    alive = [peer(name, (evt.EVT_C_STORE, lambda _event: 0)) for name in ("one", "two")]
    for name in ("stuck", "one", "two"):
        for path in paths:
            deliveries.add(path, peer=name)
    outbox = outbox_for(deliveries, clock, stuck, *alive)

    def serve_stuck():
        outbox.deliver_due_to("stuck")
        others_done.set()

    thread = threading.Thread(target=serve_stuck)
    thread.start()
    assert [outbox.deliver_due_to(name) for name in ("one", "two")] == [3, 3]
    assert not others_done.is_set()
    release.set()
    thread.join(PATIENCE_S)
    assert others_done.is_set()


def test_a_peer_that_fails_every_object_is_not_taken_for_dead(peer, deliveries, clock, paths):
    """It answers: only what failed is sent again, at its own pace, and arrives when the peer has room."""
    full, received = [True], []

    def answer(event):
        received.append(event.request.AffectedSOPInstanceUID)
        return 0xA700 if full[0] and received[-1] == paths[0].stem else 0

    destination = peer("peer", (evt.EVT_C_STORE, answer))
    for job_id, path in enumerate(paths, start=1):
        deliveries.add(path, peer="peer", job_id=job_id)
    outbox = outbox_for(deliveries, clock, destination)
    for _ in range(OPENS_AFTER + 1):
        outbox.deliver_due_to("peer")
        clock.now += 600.0
    assert deliveries.breakers == {}
    full[0] = False
    outbox.deliver_due_to("peer")
    assert deliveries.statuses == {1: 0, 2: 0, 3: 0}
    assert [received.count(path.stem) for path in paths] == [OPENS_AFTER + 2, 1, 1]
