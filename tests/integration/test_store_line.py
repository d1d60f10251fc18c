"""C-STORE past pynetdicom's threads: what arrives, and peers that stall, hang up or abort in the midst of an object."""

import os
import shutil
import subprocess
import threading
from dataclasses import replace

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from dicom_node import associations
from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ObjectRejected, PeerUnreachable
from dicom_node.peers import echo
from dicom_node.sending import send_folder
from dicom_node.storage_scu import ContextWish, open_storage
from dicom_node.tls import ServerTls
from tests.builders.between import abort, between, hang_up, stall
from tests.builders.certificates import authority
from tests.builders.command import eventually
from tests.builders.network import HOST, PATIENCE_S, dataset_bytes, free_port, image_series, running_node, saved

MR = "1.2.840.10008.5.1.4.1.1.4"
WISH = ContextWish(MR, ExplicitVRLittleEndian)

# pynetdicom drops the socket of an aborted association without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def peer():
    """Starts a peer that keeps what it is sent and how its associations ended, and stops it."""
    entity, kept, ends = AE(ae_title="PEER"), [], []

    def start(maximum_pdu_size=16382, before_answer=lambda: None):
        def keep(event):
            kept.append(event.request.DataSet.getvalue())
            before_answer()
            return 0

        entity.add_supported_context(MR, [ExplicitVRLittleEndian])
        entity.maximum_pdu_size = maximum_pdu_size
        handlers = [
            (evt.EVT_C_STORE, keep),
            (evt.EVT_RELEASED, lambda _event: ends.append("released")),
            (evt.EVT_ABORTED, lambda _event: ends.append("aborted")),
        ]
        port = free_port()
        entity.start_server((HOST, port), block=False, evt_handlers=handlers)
        return Destination("peer", "PEER", HOST, port), kept, ends

    yield start
    entity.shutdown()


@pytest.fixture
def large(tmp_path):
    """An object that no connection's buffers hold."""
    dataset = image_series()[0]
    dataset.Rows, dataset.Columns = 4096, 2048
    dataset.PixelData = os.urandom(1 << 20) * 16
    return saved(dataset, tmp_path / "large")


@pytest.mark.parametrize("maximum_length", [0, 131072, 4096, 64])
def test_a_peer_gets_what_the_files_hold(peer, tmp_path, maximum_length):
    """In PDUs of any length; and the association is released, not dropped."""
    paths = [saved(dataset, tmp_path) for dataset in image_series()]
    destination, kept, ends = peer(maximum_length)
    with open_storage(destination, "NODE", {WISH}) as sender:
        assert [sender.send(path) for path in paths] == [0, 0, 0]
    assert kept == [dataset_bytes(path) for path in paths]
    assert eventually(lambda: ends == ["released"])


def test_over_tls_too(tmp_path, large):
    """With certificates both ways."""
    hospital = authority(tmp_path / "hospital")
    paths = [large, *(saved(dataset, tmp_path / "sent") for dataset in image_series()[1:])]
    with running_node(tmp_path / "node", tls=ServerTls(hospital.sign("node"), require_peer_certificate=True)) as node:
        with open_storage(replace(node.destination, tls=hospital.sign("caller")), "NODE", {WISH}) as sender:
            for path in paths:
                assert sender.send(path) == 0
        assert [dataset_bytes(each.path) for each in node.stored] == [dataset_bytes(path) for path in paths]


@pytest.mark.parametrize("length", [4096, 131072])
def test_dcmtk_gets_what_the_files_hold(tmp_path, length):
    """An implementation that is not ours, to the byte."""
    storescp = shutil.which("storescp", path=os.defpath)  # not pynetdicom's, which has the same name
    if storescp is None:
        pytest.skip("storescp is not installed (apt-get install dcmtk)")
    paths = [saved(dataset, tmp_path / "sent") for dataset in image_series()]
    destination, kept = Destination("storescp", "STORESCP", HOST, free_port()), tmp_path / "kept"
    kept.mkdir()
    command = [storescp, "+B", "-pdu", str(length), "-od", str(kept), "--filename-extension", ".dcm"]
    with subprocess.Popen([*command, str(destination.port)], env={**os.environ, "TCP_NODELAY": "1"}) as process:
        try:
            assert eventually(lambda: answers(destination))
            assert all(result.arrived for result in send_folder(tmp_path / "sent", destination, "NODE"))
        finally:
            process.terminate()
    found = {next(kept.glob(f"*{path.stem}.dcm")): path for path in paths}
    assert all(dataset_bytes(there) == dataset_bytes(here) for there, here in found.items())
    assert len(found) == len(paths)


def answers(destination):
    """Whether it is there yet."""
    try:
        echo(destination, "NODE")
    except PeerUnreachable:
        return False
    return True


@pytest.mark.parametrize("happens", [stall, hang_up, abort])
@pytest.mark.parametrize("after", [1 << 20, 3_000_001])
def test_a_peer_that_goes_in_the_midst_of_an_object_is_unreachable(peer, large, monkeypatch, happens, after):
    """However it goes: nothing hangs, the next object is not sent into the void, and no thread stays behind."""
    monkeypatch.setattr(associations, "_DIMSE_TIMEOUT_S", 0.5)
    destination, kept, _ = peer()
    with between(destination.port, after, happens) as port:
        with open_storage(replace(destination, port=port), "NODE", {WISH}) as sender:
            with pytest.raises(PeerUnreachable, match="no answer") as failure:
                sender.send(large)
            assert failure.value.retryable
            with pytest.raises(PeerUnreachable, match="ended the association"):
                sender.send(large)
        assert eventually(lambda: not sender._association.dul.is_alive())
    assert kept == []


def test_a_peer_that_takes_an_object_and_says_nothing_is_told_so(peer, tmp_path, monkeypatch):
    """By an A-ABORT: it stands between two objects, and understands it."""
    monkeypatch.setattr(associations, "_DIMSE_TIMEOUT_S", 0.2)
    may_answer = threading.Event()
    destination, _, ends = peer(before_answer=lambda: may_answer.wait(PATIENCE_S))
    path = saved(image_series()[0], tmp_path)
    with (
        open_storage(destination, "NODE", {WISH}) as sender,
        pytest.raises(PeerUnreachable, match="no answer"),
    ):
        sender.send(path)
    may_answer.set()
    assert eventually(lambda: ends == ["aborted"])


def test_a_file_that_gets_shorter_is_no_fault_of_the_peer(peer, large):
    """What was to follow goes on a new association."""
    destination, kept, _ = peer()
    with open_storage(destination, "NODE", {WISH}) as sender:
        _cut_when_opened(sender, large)
        with pytest.raises(ObjectRejected, match="cannot be sent"):
            sender.send(large)
        with pytest.raises(PeerUnreachable, match="ended the association"):
            sender.send(large)
    assert kept == []


def _cut_when_opened(sender, path):
    """The file loses half of itself when it is about to be sent."""
    store = sender._line.store

    def cut_and_store(association, request, data, size):
        os.truncate(path, size // 2)
        return store(association, request, data, size)

    sender._line.store = cut_and_store


class InterruptedSource:
    """A data set in the midst of which somebody presses Ctrl-C."""

    left = 2 << 20

    def readinto(self, buffer):
        """Zeros, as long as nobody does."""
        self.left -= len(buffer)
        if self.left < 0:
            raise KeyboardInterrupt
        return len(buffer)


def test_a_request_that_is_broken_off_ends_its_association(peer, tmp_path):
    """It is not released: the peer would take the request to release for a part of the object, and never answer."""
    destination, kept, ends = peer()
    path = saved(image_series()[0], tmp_path)

    def send():
        with open_storage(destination, "NODE", {WISH}) as sender:
            store = sender._line.store
            sender._line.store = lambda link, request, *_: store(link, request, InterruptedSource(), 4 << 20)
            sender.send(path)

    with pytest.raises(KeyboardInterrupt):
        send()
    assert eventually(lambda: ends == ["aborted"])
    assert kept == []


def test_pynetdicom_takes_over_again_when_the_sender_is_done(peer, tmp_path):
    """Its own services work on the association, before and after."""
    destination, kept, _ = peer()
    path = saved(image_series()[0], tmp_path)
    with open_storage(destination, "NODE", {WISH}) as sender:
        for _ in range(2):
            assert sender._association.send_c_store(path).Status == 0
            assert sender.send(path) == 0
            sender._line.finish(sender._association)
    assert len(kept) == 4
