"""The Storage SCP over real associations, from pynetdicom and from DCMTK."""

import re
import threading
from dataclasses import dataclass

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from pynetdicom import AE
from pynetdicom.presentation import build_context

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import ObjectRejected, PeerRefused, PeerUnreachable
from dicom_node.file_meta import file_meta_of
from dicom_node.peers import echo
from dicom_node.receiving import Receiver
from dicom_node.spool import InstanceAddress, Spool
from dicom_node.storage_scu import ContextWish, open_storage
from tests.builders.dcmtk import dcmtk
from tests.builders.network import HOST, PATIENCE_S, MemoryRegister, dataset_bytes, image_series, running_node, saved

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

MR = "1.2.840.10008.5.1.4.1.1.4"
WISH = ContextWish(MR, ExplicitVRLittleEndian)


@dataclass(frozen=True)
class Rejection:
    """A refusal with the numbers of the standard."""

    result: int
    source: int
    diagnostic: int
    reason: str = "nobody knows it"
    remedy: str = "add ae_title: STRANGER to peers in config/node.yaml"


def raw_associate(destination, *contexts, calling="TESTER"):
    """An association by pynetdicom's own means."""
    return AE(ae_title=calling).associate(
        destination.host, destination.port, contexts=list(contexts), ae_title=destination.ae_title
    )


def test_echo_is_answered(tmp_path):
    """C-ECHO from pynetdicom and from DCMTK succeeds."""
    with running_node(tmp_path) as node:
        echo(node.destination, "TESTER")
        assert dcmtk("echoscu", "-aec", "NODE", HOST, node.destination.port).returncode == 0


def test_stored_bytes_equal_sent_bytes(tmp_path):
    """Every data set is on disk exactly as it was sent, recorded once, and told of once."""
    series = image_series()
    paths = [saved(dataset, tmp_path / "sent") for dataset in series]
    with running_node(tmp_path / "node") as node, open_storage(node.destination, "TESTER", {WISH}) as sender:
        assert [sender.send(path) for path in paths] == [0] * len(paths)
        assert [instance.sop_instance_uid for instance in node.stored] == [ds.SOPInstanceUID for ds in series]
    for path in paths:
        assert dataset_bytes(node.register.instances[path.stem].path) == dataset_bytes(path)
    assert set(node.register.callers) == {"TESTER"}


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_data_sets_are_stored_as_received(tmp_path, syntax):
    """A compressed transfer syntax is accepted and nothing is decoded."""
    dataset = image_series()[0]
    dataset.compress(syntax, generate_instance_uid=False)
    path = saved(dataset, tmp_path / "sent")
    wish = ContextWish(MR, syntax)
    with running_node(tmp_path / "node") as node, open_storage(node.destination, "TESTER", {wish}) as sender:
        assert sender.send(path) == 0
    (instance,) = node.register.instances.values()
    assert instance.transfer_syntax_uid == syntax
    assert dataset_bytes(instance.path) == dataset_bytes(path)


def test_deflated_is_stored_as_received(tmp_path):
    """DCMTK's deflated data set is identified without being unpacked on disk."""
    path = saved(image_series()[0], tmp_path / "sent")
    with running_node(tmp_path / "node") as node:
        done = dcmtk("storescu", "-xd", "-aec", "NODE", HOST, node.destination.port, path)
    assert done.returncode == 0, done.stderr
    (instance,) = node.register.instances.values()
    assert instance.transfer_syntax_uid == "1.2.840.10008.1.2.1.99"
    assert instance.path.stat().st_size < path.stat().st_size


def test_dcmtk_sends_a_series(tmp_path):
    """Storescu delivers a folder, and every instance of it is recorded."""
    series = image_series()
    for dataset in series:
        saved(dataset, tmp_path / "sent")
    with running_node(tmp_path / "node") as node:
        done = dcmtk("storescu", "+sd", "-aec", "NODE", HOST, node.destination.port, tmp_path / "sent")
    assert done.returncode == 0, done.stderr
    assert node.register.instances.keys() == {dataset.SOPInstanceUID for dataset in series}


def test_duplicates_and_conflicts(tmp_path):
    """The same object again is success and one file; other content under its UID is kept aside; both told of once."""
    dataset = image_series()[0]
    path = saved(dataset, tmp_path / "sent")
    dataset.PixelData = bytes(len(dataset.PixelData))
    other = saved(dataset, tmp_path / "other")
    with running_node(tmp_path / "node") as node, open_storage(node.destination, "TESTER", {WISH}) as sender:
        assert [sender.send(path), sender.send(path), sender.send(other)] == [0, 0, 0]
    assert len(node.stored) == 1
    assert len(list((tmp_path / "node/spool").rglob("*.dcm"))) == 1
    assert len(list((tmp_path / "node/conflicts").rglob("*.dcm"))) == 1


@pytest.mark.parametrize("numbers", [(1, 1, 7), (1, 1, 3), (2, 3, 2)])
def test_a_rejection_carries_the_numbers_of_the_standard(tmp_path, caplog, numbers):
    """PS3.8 Table 9-21 reaches the peer, and the log says who it was and what would let it in."""
    with running_node(tmp_path, admission=lambda _request: Rejection(*numbers)) as node:
        association = raw_associate(node.destination, build_context(MR), calling="STRANGER")
        answer = association.acceptor.primitive
        assert association.is_rejected
        assert (answer.result, answer.result_source, answer.diagnostic) == numbers
        with pytest.raises(PeerRefused) as refused:
            echo(node.destination, "STRANGER")
    assert refused.value.retryable is (numbers[0] == 2)
    line = next(record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    for word in ("STRANGER", HOST, "NODE", "config/node.yaml"):
        assert word in line


def test_a_fault_in_the_decision_lets_nobody_in(tmp_path):
    """Pynetdicom would go on as if nothing had happened."""

    def broken(_request):
        raise ZeroDivisionError

    with running_node(tmp_path, admission=broken) as node:
        association = raw_associate(node.destination, build_context(MR))
        answer = association.acceptor.primitive
        assert association.is_rejected
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 1, 1)


def test_admission_hears_who_asks(tmp_path):
    """Titles, address and the number of other open associations, in all and of the caller, are told to the decision."""
    heard = []
    with running_node(tmp_path, admission=heard.append) as node:
        first = raw_associate(node.destination, build_context(MR), calling="FIRST")
        wrong = Destination("node", "WRONG", HOST, node.destination.port)
        second = raw_associate(wrong, build_context(MR), calling="SECOND")
        third = raw_associate(node.destination, build_context(MR), calling="FIRST")
        for association in (first, second, third):
            association.release()
    told = [(ask.calling_ae_title, ask.called_ae_title, ask.open_associations, ask.open_of_caller) for ask in heard]
    assert told == [("FIRST", "NODE", 0, 0), ("SECOND", "WRONG", 1, 0), ("FIRST", "NODE", 2, 1)]
    assert {ask.address for ask in heard} == {HOST}


def test_unknown_classes_and_syntaxes_are_refused_by_context(tmp_path):
    """An unknown abstract syntax is result 3, an unknown transfer syntax 4; others stand (PS3.8 9.3.3.2)."""
    with running_node(tmp_path) as node:
        association = raw_associate(
            node.destination,
            build_context("1.2.840.10008.5.1.4.34.6.1"),
            build_context(MR, "1.2.840.10008.1.2.4.94"),
            build_context(MR, ImplicitVRLittleEndian),
        )
        assert {context.context_id: context.result for context in association.rejected_contexts} == {1: 3, 3: 4}
        assert [context.context_id for context in association.accepted_contexts] == [5]
        association.release()


def filed_as_requested(folder, **changes):
    """A file whose meta information, and so the request, says one thing, and whose data set may say another."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR, "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    content = DicomBytesIO()
    content.is_implicit_VR, content.is_little_endian = False, True
    write_dataset(content, dataset)
    meta = file_meta_of(MR, "1.2.3.4", ExplicitVRLittleEndian)
    return Spool(folder).keep(InstanceAddress("1", "1", "1"), content.getvalue(), meta).path


@pytest.mark.parametrize(
    ("changes", "status", "comment"),
    [
        ({"SOPInstanceUID": "1.2.3.9"}, 0xA900, "SOPInstanceUID differs from request"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, 0xA900, "SOPClassUID differs from request"),
        ({"StudyInstanceUID": ""}, 0xC000, "Study Instance UID is empty"),
        ({"SeriesInstanceUID": ""}, 0xC000, "Series Instance UID is empty"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_told(tmp_path, changes, status, comment):
    """A refused object gets its status and a comment, and leaves nothing behind."""
    path = filed_as_requested(tmp_path / "sent", **changes)
    with (
        running_node(tmp_path / "node") as node,
        open_storage(node.destination, "TESTER", {WISH}) as sender,
        pytest.raises(ObjectRejected, match=re.escape(f"0x{status:04X} ({comment})")),
    ):
        sender.send(path)
    assert node.files == []
    assert node.register.instances == {}


def test_a_fault_of_the_node_is_never_c211(tmp_path, monkeypatch):
    """Even an error nobody thought of is answered 0xC000, and the association lives on."""

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(Receiver, "accept", broken)
    path = saved(image_series()[0], tmp_path / "sent")
    with (
        running_node(tmp_path / "node") as node,
        open_storage(node.destination, "TESTER", {WISH}) as sender,
    ):
        for _ in range(2):
            with pytest.raises(ObjectRejected, match=r"0xC000 \(fault of this node: ZeroDivisionError\)"):
                sender.send(path)
        assert not node.unfinished


def test_open_associations_are_known_by_study(tmp_path):
    """An association counts for the studies it has stored objects of, until it ends."""
    here, elsewhere = image_series(study="a")[0], image_series(study="b")[0]
    paths = [saved(dataset, tmp_path / "sent") for dataset in (here, elsewhere)]
    with running_node(tmp_path / "node") as node:
        with open_storage(node.destination, "ONE", {WISH}) as one, open_storage(node.destination, "TWO", {WISH}) as two:
            one.send(paths[0])
            two.send(paths[0])
            one.send(paths[1])
            node.settle()
            assert node.scp.open_associations(here.StudyInstanceUID) == 2
            assert node.scp.open_associations(elsewhere.StudyInstanceUID) == 1
            assert node.scp.open_associations("1.2.3") == 0
        assert node.scp.open_associations(here.StudyInstanceUID) == 0


def test_stopping_lets_an_object_being_written_finish(tmp_path):
    """Stop waits for the object under way, which is answered or sent again, and is there afterwards."""

    class Slow(MemoryRegister):
        def record_instance(self, instance, *, calling_ae, now):
            receipt = super().record_instance(instance, calling_ae=calling_ae, now=now)
            assert go_on.wait(PATIENCE_S)
            return receipt

    go_on, register = threading.Event(), Slow()
    path = saved(image_series()[0], tmp_path / "sent")
    with running_node(tmp_path / "node", register=register) as node:
        association = raw_associate(node.destination, build_context(MR, ExplicitVRLittleEndian))
        sending = threading.Thread(target=association.send_c_store, args=(path,))
        sending.start()
        assert register.heard.wait(PATIENCE_S)
        stopping = threading.Thread(target=node.scp.stop)
        stopping.start()
        go_on.set()
        stopping.join(PATIENCE_S)
        sending.join(PATIENCE_S)
        assert not stopping.is_alive()
        assert len(node.stored) == 1


def test_what_was_stopped_can_start_again(tmp_path):
    """After stop the port is free, and objects are taken again after the next start."""
    path = saved(image_series()[0], tmp_path / "sent")
    with running_node(tmp_path / "node") as node:
        node.scp.stop()
        with pytest.raises(PeerUnreachable):
            echo(node.destination, "TESTER")
        node.scp.start()
        with open_storage(node.destination, "TESTER", {WISH}) as sender:
            assert sender.send(path) == 0
