"""Associations out: the peers module, sending folders, and the outbox, against real peers."""

import random
import re
import socket
import threading

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE

from dicom_node.domain.delivery import Destination, RetryPolicy
from dicom_node.domain.errors import ObjectRejected, PeerRefused, PeerUnreachable, SopClassRefused
from dicom_node.outbox import Outbox
from dicom_node.peers import echo
from dicom_node.sending import send_folder
from dicom_node.storage_scu import ContextWish, open_storage
from tests.builders.network import (
    HOST,
    MemoryDeliveries,
    dataset_bytes,
    free_port,
    image_series,
    running_node,
    saved,
)

MR = "1.2.840.10008.5.1.4.1.1.4"
WISH = ContextWish(MR, ExplicitVRLittleEndian)
GIVE_UP_AFTER_S = 3600.0

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def peer():
    """Starts peers that answer each C-STORE as told, and stops them."""
    entities = []

    def start(answer, syntaxes=(ExplicitVRLittleEndian,), sop_class=MR, on_request=lambda _event: None):
        entity = AE(ae_title="PEER")
        entity.add_supported_context(sop_class, list(syntaxes))
        port = free_port()
        handlers = [(evt.EVT_C_STORE, answer), (evt.EVT_REQUESTED, on_request)]
        entity.start_server((HOST, port), block=False, evt_handlers=handlers)
        entities.append(entity)
        return Destination("peer", "PEER", HOST, port)

    yield start
    for entity in entities:
        entity.shutdown()


def status_of(number, comment=""):
    """A status that brings a comment."""
    status = Dataset()
    status.Status = number
    if comment:
        status.ErrorComment = comment
    return status


def nowhere(name="nowhere"):
    """A destination where nobody listens."""
    return Destination(name, "NOBODY", HOST, free_port())


def test_nobody_there_is_unreachable():
    """A refused connection says which peer, and may be tried again."""
    with pytest.raises(PeerUnreachable, match=f"NOBODY@{HOST}.*is it running"):
        echo(nowhere(), "NODE")


def test_a_host_without_address_is_unreachable():
    """A name that resolves to nothing is told as such."""
    with pytest.raises(PeerUnreachable, match="host name"):
        echo(Destination("x", "X", "no-such-host.invalid", 104), "NODE")


def test_a_listener_that_hangs_up_is_unreachable():
    """Something that is no DICOM peer ends the connection: no rejection, so try again."""
    with socket.create_server((HOST, 0)) as listener:

        def hang_up():
            listener.accept()[0].close()

        caller = threading.Thread(target=hang_up)
        caller.start()
        with pytest.raises(PeerUnreachable, match="broke off"):
            echo(Destination("x", "X", HOST, listener.getsockname()[1]), "NODE")
        caller.join()


def test_a_peer_that_takes_none_of_it_refuses_for_good(peer, tmp_path):
    """When every presentation context is refused, trying again is in vain."""
    destination = peer(lambda _event: 0, sop_class="1.2.840.10008.5.1.4.1.1.2")
    with (
        pytest.raises(PeerRefused, match="none of the SOP classes") as refused,
        open_storage(destination, "NODE", {WISH}),
    ):
        pytest.fail("associated")
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("number", "error", "retryable"),
    [(0xA700, PeerRefused, True), (0xA900, ObjectRejected, False), (0xC123, ObjectRejected, False)],
)
def test_failures_carry_status_and_comment(peer, tmp_path, number, error, retryable):
    """The error says what the peer said, and whether to try again."""
    destination = peer(lambda _event: status_of(number, "no room in ward 7"))
    path = saved(image_series()[0], tmp_path)
    with (
        pytest.raises(error, match=rf"0x{number:04X} \(no room in ward 7\)") as failure,
        open_storage(destination, "NODE", {WISH}) as sender,
    ):
        sender.send(path)
    assert failure.value.retryable is retryable


def test_a_warning_is_success(peer, tmp_path):
    """0xB000 has arrived."""
    destination = peer(lambda _event: 0xB000)
    with open_storage(destination, "NODE", {WISH}) as sender:
        assert sender.send(saved(image_series()[0], tmp_path)) == 0xB000


def test_a_lost_association_is_unreachable(peer, tmp_path):
    """No answer at all may be tried again, and the next object is not sent into the void."""
    destination = peer(lambda event: event.assoc.abort())
    path = saved(image_series()[0], tmp_path)
    with open_storage(destination, "NODE", {WISH}) as sender:
        with pytest.raises(PeerUnreachable, match="no answer"):
            sender.send(path)
        with pytest.raises(PeerUnreachable, match="ended the association"):
            sender.send(path)


def test_an_answer_without_a_status_may_be_tried_again(peer, tmp_path):
    """Neither success nor refusal: nothing is known of the object."""

    def answer(event):
        response = C_STORE()
        response.MessageIDBeingRespondedTo = event.request.MessageID
        response.AffectedSOPClassUID = event.request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID
        message = C_STORE_RSP()
        message.primitive_to_message(response)
        assert "Status" not in message.command_set
        if event.request.AffectedSOPInstanceUID == empty.stem:
            message.command_set.Status = None
        for data in message.encode_msg(event.context.context_id, 16382):
            event.assoc.dul.send_pdu(data)
        return 0

    missing, empty = (saved(dataset, tmp_path) for dataset in image_series()[:2])
    destination = peer(answer)
    for path in (missing, empty):
        with (
            open_storage(destination, "NODE", {WISH}) as sender,
            pytest.raises(PeerUnreachable, match="no answer") as failure,
        ):
            sender.send(path)
        assert failure.value.retryable


@pytest.mark.parametrize(("result", "retryable"), [(0x01, False), (0x02, True)])
def test_a_rejection_may_be_tried_again_if_it_says_so(peer, result, retryable):
    """Rejected-transient and rejected-permanent (PS3.8 Table 9-21), with whom we called as whom."""

    def reject(event):
        event.assoc.acse.send_reject(result, 0x01, 0x01)
        event.assoc.kill()

    destination = peer(lambda _event: 0, on_request=reject)
    with pytest.raises(PeerRefused, match=rf"\({result}/1/1.*we called PEER as NODE") as refused:
        echo(destination, "NODE")
    assert refused.value.retryable is retryable


@pytest.mark.parametrize("status", [0x0122, 0x0118])
def test_a_status_may_refuse_the_whole_class(peer, tmp_path, status):
    """Not only this object: something else may take its place."""
    path = saved(image_series()[0], tmp_path)
    with (
        open_storage(peer(lambda _event: status), "NODE", {WISH}) as sender,
        pytest.raises(SopClassRefused, match=f"0x{status:04X}") as refused,
    ):
        sender.send(path)
    assert (refused.value.sop_class_uid, refused.value.retryable) == (MR, False)


@pytest.mark.parametrize(("tag", "is_for_class"), [(0x00080016, True), (0x00100010, False)])
def test_the_offending_element_tells_what_a_refusal_is_about(peer, tmp_path, tag, is_for_class):
    """Of a final failure, as the peer sends it."""
    answer = status_of(0xA900)
    answer.OffendingElement = [tag]
    path = saved(image_series()[0], tmp_path)
    with (
        open_storage(peer(lambda _event: answer), "NODE", {WISH}) as sender,
        pytest.raises(ObjectRejected) as refused,
    ):
        sender.send(path)
    assert isinstance(refused.value, SopClassRefused) is is_for_class


def test_a_class_that_was_not_accepted_is_told_before_anything_is_sent(peer, tmp_path):
    """And the object of it is refused as one of its class."""
    ct = "1.2.840.10008.5.1.4.1.1.2"
    wishes = {WISH, ContextWish(ct, ExplicitVRLittleEndian)}
    with open_storage(peer(lambda _event: 0, sop_class=ct), "NODE", wishes) as sender:
        assert sender.refused_classes == {MR}
        with pytest.raises(SopClassRefused, match="accepts no MR Image Storage"):
            sender.send(saved(image_series()[0], tmp_path))


def test_a_peer_that_knows_implicit_only_gets_implicit(peer, tmp_path):
    """An uncompressed object is re-encoded when its own transfer syntax is refused."""
    received = []

    def keep(event):
        received.append((event.context.transfer_syntax, event.dataset.PixelData))
        return 0

    dataset = image_series()[0]
    with open_storage(peer(keep, [ImplicitVRLittleEndian]), "NODE", {WISH}) as sender:
        assert sender.send(saved(dataset, tmp_path)) == 0
    assert received == [(ImplicitVRLittleEndian, dataset.PixelData)]


def test_a_compressed_object_is_not_decoded_for_a_peer(peer, tmp_path):
    """A peer that takes only uncompressed objects of the class rejects this one, and the remedy is told."""
    plain, packed = image_series()[:2]
    packed.compress(JPEGLSLossless, generate_instance_uid=False)
    paths = [saved(dataset, tmp_path) for dataset in (plain, packed)]
    with open_storage(peer(lambda _event: 0), "NODE", {WISH, ContextWish(MR, JPEGLSLossless)}) as sender:
        assert sender.send(paths[0]) == 0
        with pytest.raises(ObjectRejected, match="JPEG-LS Lossless"):
            sender.send(paths[1])


def test_a_folder_is_sent_and_each_file_told_of(tmp_path):
    """What is no DICOM file does not stop the others."""
    paths = [saved(dataset, tmp_path / "sent") for dataset in image_series()]
    (tmp_path / "sent/notes.txt").write_text("no image")
    with running_node(tmp_path / "node") as node:
        results = list(send_folder(tmp_path / "sent", node.destination, "NODE"))
    assert sorted(result.path for result in results if result.arrived) == sorted(paths)
    (problem,) = [result for result in results if not result.arrived]
    assert problem.path.name == "notes.txt"
    assert "no DICOM file" in problem.problem


def test_without_a_peer_every_file_is_told_of(tmp_path):
    """No association, no silence."""
    paths = [saved(dataset, tmp_path) for dataset in image_series()]
    results = list(send_folder(tmp_path, nowhere(), "NODE"))
    assert len(results) == len(paths)
    assert all("no connection" in result.problem for result in results)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        """The time it was set to."""
        return self.now


@pytest.fixture
def deliveries():
    """An empty store of deliveries."""
    return MemoryDeliveries()


def outbox_for(deliveries, *destinations, clock=None):
    """An outbox that knows these destinations."""
    by_name = {destination.name: destination for destination in destinations}
    return Outbox(deliveries, by_name, "NODE", clock or Clock(), RetryPolicy(GIVE_UP_AFTER_S, random.Random(7)))


def test_due_results_arrive_in_order(deliveries, tmp_path):
    """What is due is sent as stored, in order, and its status recorded."""
    paths = [saved(dataset, tmp_path / "results") for dataset in image_series()]
    for path in paths:
        deliveries.add(path, peer="node")
    with running_node(tmp_path / "node") as node:
        assert outbox_for(deliveries, node.destination).deliver_due() == 3
        assert [instance.sop_instance_uid for instance in node.stored] == [path.stem for path in paths]
    assert deliveries.statuses == {1: 0, 2: 0, 3: 0}
    assert dataset_bytes(node.stored[0].path) == dataset_bytes(paths[0])


def test_a_dead_peer_blocks_no_other_and_gets_all_when_it_is_back(deliveries, tmp_path):
    """A killed peer's objects wait, later each time, and arrive once it is back; the other peer has its own at once."""
    paths = [saved(dataset, tmp_path / "results") for dataset in image_series()]
    gone, clock = nowhere("gone"), Clock()
    for path in paths:
        deliveries.add(path, peer="gone")
    deliveries.add(paths[0], peer="node")
    with running_node(tmp_path / "node") as node:
        outbox = outbox_for(deliveries, node.destination, gone, clock=clock)
        assert outbox.deliver_due() == 1
        assert outbox.deliver_due() == 0
    waits = {deliveries.due_at[key] - clock.now for key in deliveries.waiting}
    assert len(waits) == 1
    assert 2.0 <= waits.pop() <= 2.5  # FIRST_DELAY_S and up to a quarter
    clock.now += 3.0
    back = Destination("gone", "NODE", HOST, gone.port)
    with running_node(tmp_path / "back", port=gone.port) as returned:
        assert outbox_for(deliveries, back, clock=clock).deliver_due_to("gone") == 3
    assert [instance.sop_instance_uid for instance in returned.stored] == [path.stem for path in paths]
    assert deliveries.waiting == {}


def test_what_fails_for_too_long_is_dead_with_its_last_reason(deliveries, tmp_path):
    """Counted from its own first failure, however long it waited before, and not a moment earlier."""
    paths = [saved(dataset, tmp_path / "results") for dataset in image_series()]
    gone, clock = nowhere("gone"), Clock()
    outbox = outbox_for(deliveries, gone, clock=clock)
    first = deliveries.add(paths[0], peer="gone", job_id=1)
    clock.now = 1e6
    outbox.deliver_due()
    clock.now += GIVE_UP_AFTER_S - 1.0
    second = deliveries.add(paths[1], peer="gone", job_id=2)
    outbox.deliver_due()
    assert deliveries.waiting.keys() == {first, second}
    clock.now += 700.0  # the longest wait between two tries is 600 s and a quarter
    outbox.deliver_due()
    assert deliveries.waiting.keys() == {second}
    assert re.fullmatch(r"in vain for 1 hours: no connection to .*", deliveries.buried[first])


def test_a_peer_that_comes_back_after_the_node_has_some_tries_left(deliveries, tmp_path):
    """Node and peer were away together for longer than is tried: the first failure after the start gives nothing up."""
    gone, clock = nowhere("gone"), Clock()
    key = deliveries.add(saved(image_series()[0], tmp_path / "results"), peer="gone")
    outbox_for(deliveries, gone, clock=clock).deliver_due()
    clock.now += 2 * GIVE_UP_AFTER_S
    restarted = outbox_for(deliveries, gone, clock=clock)
    restarted.deliver_due()
    assert deliveries.waiting.keys() == {key}
    clock.now += 760.0  # past the longest wait between two tries
    restarted.deliver_due()
    assert deliveries.buried.keys() == {key}


def test_what_is_refused_for_too_long_lets_those_behind_it_go(peer, deliveries, tmp_path):
    """Only the object that its peer has no room for is given up; the next one of its job arrives."""
    clock, paths = Clock(), [saved(dataset, tmp_path) for dataset in image_series()[:2]]
    for path in paths:
        deliveries.add(path, peer="peer")
    full = paths[0].stem
    destination = peer(lambda event: 0xA700 if event.request.AffectedSOPInstanceUID == full else 0)
    outbox = outbox_for(deliveries, destination, clock=clock)
    outbox.deliver_due()
    assert deliveries.waiting.keys() == {1, 2}
    clock.now += GIVE_UP_AFTER_S
    outbox.deliver_due()
    assert "0xA700" in deliveries.buried[1]
    outbox.deliver_due()
    assert deliveries.statuses == {2: 0}


def test_a_final_refusal_is_dead_with_its_reason(peer, deliveries, tmp_path):
    """A rejected object waits for a person; the rest of its job goes on."""
    answers = iter([status_of(0xA900, "not ours"), status_of(0)])
    for dataset in image_series()[:2]:
        deliveries.add(saved(dataset, tmp_path), peer="peer")
    assert outbox_for(deliveries, peer(lambda _event: next(answers))).deliver_due() == 1
    assert "0xA900 (not ours)" in deliveries.buried[1]
    assert deliveries.statuses == {2: 0}


def test_an_object_that_must_wait_holds_back_its_job_only(peer, deliveries, tmp_path):
    """A report never overtakes its segmentation; other jobs pass, and the two come again together."""
    paths = [saved(dataset, tmp_path) for dataset in image_series()]
    deliveries.add(paths[0], peer="peer", job_id=1)
    deliveries.add(paths[1], peer="peer", job_id=1)
    deliveries.add(paths[2], peer="peer", job_id=2)
    full = paths[0].stem
    destination = peer(lambda event: 0xA700 if event.request.AffectedSOPInstanceUID == full else 0)
    assert outbox_for(deliveries, destination).deliver_due() == 1
    assert deliveries.statuses == {3: 0}
    assert deliveries.due_at[1] == deliveries.due_at[2] > 100.0


def test_an_object_that_kills_the_association_does_not_stand_in_front_for_ever(peer, deliveries, tmp_path):
    """Only the job that suffered the loss is put off; the others go with the next round."""
    paths = [saved(dataset, tmp_path) for dataset in image_series()]
    for job_id, path in enumerate(paths, start=1):
        deliveries.add(path, peer="peer", job_id=job_id)
    deadly = paths[0].stem

    def answer(event):
        if event.request.AffectedSOPInstanceUID == deadly:
            event.assoc.abort()
        return 0

    outbox = outbox_for(deliveries, peer(answer))
    assert (outbox.deliver_due(), outbox.deliver_due()) == (0, 2)
    assert deliveries.waiting.keys() == {1}


def test_what_can_never_be_sent_is_dead(deliveries, tmp_path):
    """A file that is gone, and a peer nobody configured, are given up with a reason that says what to do."""
    deliveries.add(tmp_path / "gone.dcm", peer="node")
    deliveries.add(saved(image_series()[0], tmp_path), peer="old name")
    with running_node(tmp_path / "node") as node:
        assert outbox_for(deliveries, node.destination).deliver_due() == 0
    assert "is gone" in deliveries.buried[1]
    assert "no destination is named old name" in deliveries.buried[2]


def test_a_peer_being_served_is_not_served_twice(peer, deliveries, tmp_path):
    """A second round that begins before the first has ended sends nothing again."""
    counts = []
    deliveries.add(saved(image_series()[0], tmp_path), peer="peer")

    def answer(_event):
        counts.append(outbox.deliver_due())
        return 0

    outbox = outbox_for(deliveries, peer(answer))
    assert outbox.deliver_due() == 1
    assert counts == [0]


def test_sent_files_are_left_as_they_were(tmp_path):
    """Sending changes no file."""
    path = saved(image_series()[0], tmp_path / "sent")
    before = path.read_bytes()
    with running_node(tmp_path / "node") as node, open_storage(node.destination, "NODE", {WISH}) as sender:
        sender.send(path)
    assert path.read_bytes() == before
    assert dcmread(path).SOPInstanceUID == path.stem
