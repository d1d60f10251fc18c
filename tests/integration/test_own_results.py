"""Own results that a PACS sends back: recorded as such however often they come, and no study waits for a worker."""

import json
from collections import Counter
from contextlib import contextmanager

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from dicom_node.app import classify
from dicom_node.conformance.specimens import Specimen, make
from dicom_node.domain.delivery import Destination
from dicom_node.domain.study import InstanceKind
from dicom_node.receiving import Receiver
from dicom_node.scp import Listener, StorageScp
from dicom_node.sending import send_folder
from dicom_node.spool import Spool
from dicom_node.store import Store
from tests.builders.command import eventually
from tests.builders.network import HOST, free_port, image_series, let_all_in, running_archive, saved
from tests.builders.orthanc import running_orthanc
from tests.builders.third_party_move import move
from tests.integration.test_archive import query

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
TIMES = 3


@pytest.fixture
def results():
    """One result of every kind, a snapshot among them, of one study."""
    return tuple(make(Specimen())[1].values())


@contextmanager
def receiving_node(folder):
    """What of the node receives and records; its address and its database."""
    folder.mkdir()
    here = Destination("node", "AINODE", HOST, free_port())
    store = Store.open(folder / "node.db")
    receiver = Receiver(Spool(folder, minimum_free_bytes=0), store, classify)
    scp = StorageScp(Listener("AINODE", HOST, here.port), receiver, let_all_in, lambda _: None, lambda _: None)
    scp.start()
    try:
        yield here, store
    finally:
        scp.stop(grace_s=5.0)
        store.close()


def kinds(store):
    """How many instances of each kind are recorded, over all studies."""
    studies = [study.study_instance_uid for study in store.studies()]
    return Counter(instance.kind for study in studies for instance in store.instances(study))


def test_an_archive_sends_results_back_again_and_again(tmp_path, results):
    """Under their own UIDs and under new ones: never an image, never a job."""
    study = results[0].StudyInstanceUID
    for result in results:
        saved(result, tmp_path / "sent")
        result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        result.SeriesInstanceUID = generate_uid()
        saved(result, tmp_path / "sent")
    with (
        receiving_node(tmp_path / "node") as (here, store),
        running_archive(tmp_path / "archive", known=(here,)) as (_, archive),
    ):
        assert all(sent.arrived for sent in send_folder(tmp_path / "sent", archive, "TESTER"))
        for _ in range(TIMES):
            moved = move(archive, "TESTER", query("STUDY", StudyInstanceUID=study), "AINODE")
            assert (moved.completed, moved.failed) == (2 * len(results), 0)
        assert kinds(store) == {InstanceKind.OWN_RESULT: 2 * len(results)}
        assert store.receiving() == ()
        [status] = store.studies()
    assert status.image_count == 0


def test_orthanc_sends_anonymised_results_back(tmp_path, results):
    """Orthanc gives study, patient and objects other identities; what another vendor derived stays an image."""
    pacs_port = free_port()
    image = image_series()[0]
    image.Manufacturer, image.ImageType = "Another vendor", ["DERIVED", "SECONDARY"]
    with (
        receiving_node(tmp_path / "node") as (here, store),
        running_orthanc(tmp_path / "orthanc", [here], dicom_port=pacs_port) as orthanc,
    ):
        for each in (*results, image):
            orthanc.post("/instances", saved(each, tmp_path / "sent").read_bytes())
        for study in orthanc.get("/studies"):
            copied = orthanc.post(f"/studies/{study}/anonymize", json.dumps({"Force": True}).encode())["ID"]
            for _ in range(TIMES):
                orthanc.post("/modalities/node/store", json.dumps([copied]).encode())
        assert eventually(lambda: sum(kinds(store).values()) == len(results) + 1)
        assert kinds(store) == {InstanceKind.OWN_RESULT: len(results), InstanceKind.IMAGE: 1}
        [activity] = store.receiving()
        received = [each for status in store.studies() for each in store.instances(status.study_instance_uid)]
        names = {str(dcmread(each.path, stop_before_pixels=True).SOPInstanceUID) for each in received}
    assert activity.image_count == 1
    assert names.isdisjoint(str(each.SOPInstanceUID) for each in results)
