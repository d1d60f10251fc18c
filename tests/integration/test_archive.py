"""The embedded archive: store, find, move and route, by this node's own SCU and by DCMTK's."""

import threading

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from dicom_node.domain.delivery import Destination
from dicom_node.domain.errors import PeerRefused
from dicom_node.peers import find
from dicom_node.sending import send_folder
from tests.builders.dcmtk import dcmtk
from tests.builders.network import (
    HOST,
    PATIENCE_S,
    MemoryRegister,
    dataset_bytes,
    free_port,
    image_series,
    running_archive,
    running_node,
    saved,
)
from tests.builders.third_party_move import move

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def query(level, **keys):
    """A query identifier of one level."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


class AwaitedRegister(MemoryRegister):
    """Knows when as many instances have come as are awaited."""

    def __init__(self, awaited):
        super().__init__()
        self._left = threading.Semaphore(0)
        self._awaited = awaited

    def record_instance(self, instance, *, calling_ae, now):
        """Record, and count."""
        receipt = super().record_instance(instance, calling_ae=calling_ae, now=now)
        self._left.release()
        return receipt

    def wait(self):
        """Whether all came before patience ended."""
        return all(self._left.acquire(timeout=PATIENCE_S) for _ in range(self._awaited))


def test_store_find_move(tmp_path):
    """What was stored is found with its counts, and moved byte for byte, compressed ones as they are."""
    series = image_series()
    series[1].compress(JPEGLSLossless, generate_instance_uid=False)
    paths = [saved(dataset, tmp_path / "sent") for dataset in series]
    study = series[0].StudyInstanceUID
    with (
        running_node(tmp_path / "node") as node,
        running_archive(tmp_path / "archive", known=(node.destination,)) as (archive, destination),
    ):
        assert all(result.arrived for result in send_folder(tmp_path / "sent", destination, "TESTER"))
        assert len(archive.instances(study)) == 3
        wanted = query("STUDY", StudyInstanceUID=study, NumberOfStudyRelatedInstances=None)
        (match,) = find(destination, "TESTER", wanted)
        assert match.NumberOfStudyRelatedInstances == 3
        outcome = move(destination, "TESTER", query("STUDY", StudyInstanceUID=study), "NODE")
        assert (outcome.status, outcome.completed, outcome.failed) == (0, 3, 0)
    uncompressed, compressed = node.register.instances[paths[0].stem], node.register.instances[paths[1].stem]
    assert compressed.transfer_syntax_uid == JPEGLSLossless
    assert dataset_bytes(compressed.path) == dataset_bytes(paths[1])
    assert dataset_bytes(uncompressed.path) == dataset_bytes(paths[0])


def test_a_move_to_a_stranger_is_refused(tmp_path):
    """Move destination unknown (0xA801) reaches the one who asked."""
    with running_archive(tmp_path) as (_, destination), pytest.raises(PeerRefused, match="0xA801"):
        move(destination, "TESTER", query("STUDY", StudyInstanceUID="1.2.3"), "STRANGER")


def test_a_query_without_level_is_refused(tmp_path):
    """An identifier that names no level is answered 0xA900, not with silence."""
    with running_archive(tmp_path) as (_, destination), pytest.raises(PeerRefused, match="0xA900"):
        find(destination, "TESTER", query("", PatientID=""))


def test_nothing_found_is_no_error(tmp_path):
    """An empty archive has no matches, and moves nothing, successfully."""
    known = Destination("node", "NODE", HOST, free_port())
    with running_archive(tmp_path, known=(known,)) as (_, destination):
        assert find(destination, "TESTER", query("STUDY", PatientID="")) == ()
        assert move(destination, "TESTER", query("STUDY", StudyInstanceUID="1.2.3"), "NODE").completed == 0


def test_new_images_are_routed_and_results_come_back(tmp_path):
    """Each new image goes on to the node in order; what the node sends stays, and a repeated send goes nowhere."""
    register = AwaitedRegister(awaited=3)
    series, other = image_series(), image_series("other")
    for dataset in series:
        saved(dataset, tmp_path / "sent")
    saved(other[0], tmp_path / "answer")
    with (
        running_node(tmp_path / "node", register=register) as node,
        running_archive(tmp_path / "archive", route_to=node.destination) as (archive, destination),
    ):
        for _ in range(2):
            list(send_folder(tmp_path / "sent", destination, "TESTER"))
        assert register.wait()
        list(send_folder(tmp_path / "answer", destination, "NODE"))
        assert len(archive.instances(other[0].StudyInstanceUID)) == 1
    assert register.callers == ["ARCHIVE"] * 3
    assert list(register.instances) == sorted(dataset.SOPInstanceUID for dataset in series)


def test_routing_waits_for_a_peer_that_is_away(tmp_path):
    """Images stored while the node is down reach it when it is up."""
    register, port = AwaitedRegister(awaited=3), free_port()
    for dataset in image_series():
        saved(dataset, tmp_path / "sent")
    route_to = Destination("node", "NODE", HOST, port)
    with running_archive(tmp_path / "archive", route_to=route_to) as (_, destination):
        list(send_folder(tmp_path / "sent", destination, "TESTER"))
        with running_node(tmp_path / "node", register=register, port=port):
            assert register.wait()


def test_a_restarted_archive_knows_what_it_holds(tmp_path):
    """The index is made again from the files."""
    dataset = image_series()[0]
    saved(dataset, tmp_path / "sent")
    with running_archive(tmp_path / "archive") as (_, destination):
        list(send_folder(tmp_path / "sent", destination, "TESTER"))
    with running_archive(tmp_path / "archive") as (archive, _):
        assert len(archive.instances(dataset.StudyInstanceUID)) == 1


def test_dcmtk_stores_finds_and_moves(tmp_path):
    """storescu, findscu and movescu work with the archive and the node."""
    series = image_series()
    for dataset in series:
        saved(dataset, tmp_path / "sent")
    study = series[0].StudyInstanceUID
    with (
        running_node(tmp_path / "node") as node,
        running_archive(tmp_path / "archive", known=(node.destination,)) as (_, destination),
    ):
        peer = (HOST, destination.port)
        stored = dcmtk("storescu", "+sd", "-aec", "ARCHIVE", *peer, tmp_path / "sent")
        assert stored.returncode == 0, stored.stderr
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
        found = dcmtk("findscu", "-S", "-aec", "ARCHIVE", *peer, *keys, "-k", "NumberOfStudyRelatedInstances")
        assert found.returncode == 0, found.stderr
        assert "(0020,1208) IS [3 ]" in found.stdout + found.stderr
        moved = dcmtk("movescu", "-S", "-aec", "ARCHIVE", "-aem", "NODE", *peer, *keys)
        assert moved.returncode == 0, moved.stderr
    assert node.register.instances.keys() == {dataset.SOPInstanceUID for dataset in series}
