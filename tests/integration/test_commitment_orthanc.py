"""Orthanc, an implementation that is not ours, commits to results, and asks the node to commit to images."""

import json

import pytest

from dicom_node import app
from dicom_node.app import Node
from dicom_node.domain.delivery import Destination, Outgoing, ResultObject
from dicom_node.settings import load_settings
from tests.builders.command import eventually, write_config
from tests.builders.datasets import encoded
from tests.builders.network import HOST, free_port, image_series, saved
from tests.builders.orthanc import running_orthanc
from tests.builders.studies import ANALYSED, claimed

# pynetdicom drops the socket of a refused connection without closing it
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def configured(folder, pacs_port, commitment):
    """The settings of a node whose PACS proves in this way."""
    config, port = write_config(folder, pacs_port)
    text = config.read_text()
    config.write_text(text.replace(f"port: {pacs_port}}}", f"port: {pacs_port}, commitment: {commitment}}}"))
    return load_settings(config, {}), Destination("node", "AINODE", HOST, port)


@pytest.fixture
def committing(tmp_path, monkeypatch, request):
    """A node that has nobody to analyse, and Orthanc, which ends first and lets go of its associations."""
    monkeypatch.setattr(app, "_WAKE_EVERY_S", 3600.0)
    pacs_port = free_port()
    settings, here = configured(tmp_path / "node", pacs_port, request.param)
    node = Node(settings)
    node.start()
    try:
        with running_orthanc(tmp_path / "orthanc", [here], dicom_port=pacs_port) as orthanc:
            yield node, orthanc
    finally:
        node.stop()


@pytest.mark.parametrize("committing", ["request", "find"], indirect=True)
def test_orthanc_commits_to_results(committing, tmp_path):
    """It reports on an association of its own, or finds them; the study may go then."""
    node, orthanc = committing
    headers = image_series()[:2]
    results = [
        ResultObject(saved(header, tmp_path / "made"), "MR", str(header.SOPClassUID), str(header.SOPInstanceUID),
                     str(header.SeriesInstanceUID)) for header in headers
    ]  # fmt: skip
    job = claimed(node.store, study=str(headers[0].StudyInstanceUID))
    outgoing = [Outgoing(result, ("PACS",)) for result in results]
    assert node.store.finish(job.job_id, "w1", **ANALYSED, results=outgoing, now=210.0)

    def states():
        return [str(each.state) for each in node.store.studies()[0].deliveries]

    assert eventually(lambda: states() == ["committed", "committed"], 30), node.store.studies()[0].deliveries
    assert len(orthanc.instances()) == 2


@pytest.mark.parametrize("committing", ["none"], indirect=True)
def test_the_node_commits_to_the_images_of_orthanc(committing):
    """To what it has, and not to what it never got."""
    _, orthanc = committing
    sent = [orthanc.post("/instances", encoded(image))["ID"] for image in image_series()]
    orthanc.post("/modalities/node/store", json.dumps(sent).encode())
    strange = {"SOPClassUID": str(image_series()[0].SOPClassUID), "SOPInstanceUID": "1.2.3"}

    def outcome(**asked):
        transaction = orthanc.post("/modalities/node/storage-commitment", json.dumps(asked).encode())["ID"]
        assert eventually(lambda: orthanc.get(f"/storage-commitment/{transaction}")["Status"] != "Pending", 30)
        return orthanc.get(f"/storage-commitment/{transaction}")

    assert outcome(Resources=sent)["Status"] == "Success"
    failed = outcome(DicomInstances=[strange])
    assert failed["Status"] == "Failure"
    assert [(each["SOPInstanceUID"], each["FailureReason"]) for each in failed["Failures"]] == [("1.2.3", 0x0112)]
